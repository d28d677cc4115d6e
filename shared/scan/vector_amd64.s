#include "textflag.h"

// Half a block's share of its masks. A shuffle takes from Y11, for each byte,
// what stands at its lower half: the one letter of this lower half that may
// follow a backslash, which it then is or not. Two of them share a half with
// another, and have a comparison of their own.
#define half(at) \
	VMOVDQU   (32*at)(SI), Y0      \
	VPCMPEQB  Y12, Y0, Y1          \
	VPCMPEQB  Y13, Y0, Y2          \
	VPMINUB   Y14, Y0, Y3          \
	VPCMPEQB  Y0, Y3, Y3           \
	VPSHUFB   Y0, Y11, Y4          \
	VPCMPEQB  Y0, Y4, Y4           \
	VPCMPEQB  Y10, Y0, Y5          \
	VPOR      Y5, Y4, Y4           \
	VPOR      Y1, Y4, Y4           \
	VPMOVMSKB Y1, R8               \
	VPMOVMSKB Y2, R9               \
	VPMOVMSKB Y3, R10              \
	VPMOVMSKB Y0, R11              \
	VPMOVMSKB Y4, R12              \
	MOVL      R8, (4*at)(DI)       \
	MOVL      R9, (4*at+8)(DI)     \
	MOVL      R10, (4*at+16)(DI)   \
	MOVL      R11, (4*at+24)(DI)   \
	MOVL      R12, (4*at+32)(DI)

// func classifyVector(text *byte, blocks int, into *block)
TEXT ·classifyVector(SB), NOSPLIT, $0-24
	MOVQ           text+0(FP), SI
	MOVQ           blocks+8(FP), CX
	MOVQ           into+16(FP), DI
	VBROADCASTI128 ·letterR(SB), Y10
	VBROADCASTI128 ·letters(SB), Y11
	VBROADCASTI128 ·quotes(SB), Y12
	VBROADCASTI128 ·backslashes(SB), Y13
	VBROADCASTI128 ·controls(SB), Y14

next:
	half(0)
	half(1)
	ADDQ $64, SI
	ADDQ $40, DI
	DECQ CX
	JNZ  next
	VZEROUPPER
	RET

// func validVector(text *byte, blocks int) bool
//
// The way of Keiser and Lemire, "Validating UTF-8 in less than one instruction
// per byte": what three tables, by the halves of a byte and of the one
// before, have in common is what is wrong with the two; see utf8.go.
TEXT ·validVector(SB), NOSPLIT, $0-17
	MOVQ  text+0(FP), SI
	MOVQ  blocks+8(FP), CX
	MOVOU ·lowHalf(SB), X15
	MOVOU ·firstHigh(SB), X14
	MOVOU ·firstLow(SB), X13
	MOVOU ·secondHigh(SB), X12
	MOVOU ·ofThree(SB), X11
	MOVOU ·ofFour(SB), X10
	MOVOU ·highest(SB), X9
	PXOR  X8, X8 // what was wrong
	PXOR  X7, X7 // the block before

again:
	MOVOU   (SI), X0
	MOVO    X0, X1
	PALIGNR $15, X7, X1 // one byte before
	MOVO    X0, X2
	PALIGNR $14, X7, X2
	MOVO    X0, X3
	PALIGNR $13, X7, X3
	MOVO    X0, X7

	MOVO   X1, X4
	PSRLW  $4, X4
	PAND   X15, X4
	MOVO   X14, X5
	PSHUFB X4, X5
	PAND   X15, X1
	MOVO   X13, X6
	PSHUFB X1, X6
	PAND   X6, X5
	PSRLW  $4, X0
	PAND   X15, X0
	MOVO   X12, X6
	PSHUFB X0, X6
	PAND   X6, X5

	PSUBUSB X11, X2 // leaves the highest bit behind a first byte of three or four
	PSUBUSB X10, X3
	POR     X3, X2
	PAND    X9, X2
	PXOR    X2, X5
	POR     X5, X8
	ADDQ    $16, SI
	DECQ    CX
	JNZ     again

	PXOR     X4, X4
	PCMPEQB  X4, X8
	PMOVMSKB X8, AX
	CMPL     AX, $0xffff
	SETEQ    ret+16(FP)
	RET
