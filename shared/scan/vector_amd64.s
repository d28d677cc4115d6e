#include "textflag.h"

// Sixteen bytes' share of a block's masks. A shuffle takes from X11, for each
// byte, what stands at its lower half: the one letter of this lower half that
// may follow a backslash, which it then is or not. Two of them share a half
// with another, and have a comparison of their own.
#define sixteen(at) \
	MOVOU    (16*at)(SI), X0    \
	MOVO     X0, X1             \
	PCMPEQB  X12, X1            \
	MOVO     X0, X2             \
	PCMPEQB  X13, X2            \
	MOVO     X0, X3             \
	PMINUB   X14, X3            \
	PCMPEQB  X0, X3             \
	MOVO     X11, X4            \
	PSHUFB   X0, X4             \
	PCMPEQB  X0, X4             \
	MOVO     X0, X5             \
	PCMPEQB  X10, X5            \
	POR      X5, X4             \
	POR      X1, X4             \
	PMOVMSKB X1, R8             \
	PMOVMSKB X2, R9             \
	PMOVMSKB X3, R10            \
	PMOVMSKB X0, R11            \
	PMOVMSKB X4, R12            \
	MOVW     R8, (2*at)(DI)     \
	MOVW     R9, (2*at+8)(DI)   \
	MOVW     R10, (2*at+16)(DI) \
	MOVW     R11, (2*at+24)(DI) \
	MOVW     R12, (2*at+32)(DI)

// func classifyVector(text *byte, blocks int, into *block)
TEXT ·classifyVector(SB), NOSPLIT, $0-24
	MOVQ  text+0(FP), SI
	MOVQ  blocks+8(FP), CX
	MOVQ  into+16(FP), DI
	MOVOU ·letterR(SB), X10
	MOVOU ·letters(SB), X11
	MOVOU ·quotes(SB), X12
	MOVOU ·backslashes(SB), X13
	MOVOU ·controls(SB), X14

next:
	sixteen(0)
	sixteen(1)
	sixteen(2)
	sixteen(3)
	ADDQ $64, SI
	ADDQ $40, DI
	DECQ CX
	JNZ  next
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
