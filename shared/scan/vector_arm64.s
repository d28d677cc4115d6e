#include "textflag.h"

// gather makes a mask of the bytes of V4 to V7, each all ones or all zeros:
// a bit of its own is left of every one of eight, and neighbours are added up.
#define gather(at) \
	VAND  V27.B16, V4.B16, V4.B16 \
	VAND  V27.B16, V5.B16, V5.B16 \
	VAND  V27.B16, V6.B16, V6.B16 \
	VAND  V27.B16, V7.B16, V7.B16 \
	VADDP V5.B16, V4.B16, V4.B16  \
	VADDP V7.B16, V6.B16, V6.B16  \
	VADDP V6.B16, V4.B16, V4.B16  \
	VADDP V4.B16, V4.B16, V4.B16  \
	VMOV  V4.D[0], R3             \
	MOVD  R3, at(R2)

#define equal(what) \
	VCMEQ what.B16, V0.B16, V4.B16 \
	VCMEQ what.B16, V1.B16, V5.B16 \
	VCMEQ what.B16, V2.B16, V6.B16 \
	VCMEQ what.B16, V3.B16, V7.B16

#define control(byte, to) \
	VUMIN V30.B16, byte.B16, to.B16 \
	VCMEQ byte.B16, to.B16, to.B16

// Of the letters that may follow a backslash, V24 has for each lower half of a
// byte the one that it can be. Two share a half with another, and have a
// comparison of their own.
#define letter(byte, to) \
	VAND  V26.B16, byte.B16, V8.B16  \
	VTBL  V8.B16, [V24.B16], to.B16  \
	VCMEQ byte.B16, to.B16, to.B16   \
	VCMEQ V25.B16, byte.B16, V8.B16  \
	VORR  V8.B16, to.B16, to.B16     \
	VCMEQ V28.B16, byte.B16, V8.B16  \
	VORR  V8.B16, to.B16, to.B16

// func classifyVector(text *byte, blocks int, into *block)
TEXT ·classifyVector(SB), NOSPLIT, $0-24
	MOVD  text+0(FP), R0
	MOVD  blocks+8(FP), R1
	MOVD  into+16(FP), R2
	MOVD  $0x8040201008040201, R3
	VMOV  R3, V27.D[0]
	VMOV  R3, V27.D[1]
	MOVD  $·letters(SB), R4
	VLD1  (R4), [V24.B16]
	VMOVI $0x72, V25.B16 // r
	VMOVI $0x0f, V26.B16
	VMOVI $0x22, V28.B16 // quotes
	VMOVI $0x5c, V29.B16 // backslashes
	VMOVI $0x1f, V30.B16 // the last control character
	VMOVI $0x80, V31.B16 // beyond ASCII

next:
	VLD1.P 64(R0), [V0.B16, V1.B16, V2.B16, V3.B16]
	equal(V28)
	gather(0)
	equal(V29)
	gather(8)
	control(V0, V4)
	control(V1, V5)
	control(V2, V6)
	control(V3, V7)
	gather(16)
	VCMTST V31.B16, V0.B16, V4.B16
	VCMTST V31.B16, V1.B16, V5.B16
	VCMTST V31.B16, V2.B16, V6.B16
	VCMTST V31.B16, V3.B16, V7.B16
	gather(24)
	letter(V0, V4)
	letter(V1, V5)
	letter(V2, V6)
	letter(V3, V7)
	gather(32)
	ADD    $40, R2
	SUB    $1, R1
	CBNZ   R1, next
	RET

// func validVector(text *byte, blocks int) bool
//
// The way of Keiser and Lemire, "Validating UTF-8 in less than one instruction
// per byte": what three tables, by the halves of a byte and of the one
// before, have in common is what is wrong with the two; see utf8.go.
TEXT ·validVector(SB), NOSPLIT, $0-17
	MOVD  text+0(FP), R0
	MOVD  blocks+8(FP), R1
	MOVD  $·firstHigh(SB), R4
	VLD1  (R4), [V24.B16]
	MOVD  $·firstLow(SB), R4
	VLD1  (R4), [V25.B16]
	MOVD  $·secondHigh(SB), R4
	VLD1  (R4), [V26.B16]
	VMOVI $0x0f, V27.B16
	VMOVI $0xe0, V28.B16
	VMOVI $0xf0, V29.B16
	VMOVI $0x80, V30.B16
	VEOR  V8.B16, V8.B16, V8.B16 // what was wrong
	VEOR  V7.B16, V7.B16, V7.B16 // the block before

again:
	VLD1.P 16(R0), [V0.B16]
	VEXT   $15, V0.B16, V7.B16, V1.B16 // one byte before
	VEXT   $14, V0.B16, V7.B16, V2.B16
	VEXT   $13, V0.B16, V7.B16, V3.B16
	VMOV   V0.B16, V7.B16

	VUSHR $4, V1.B16, V4.B16
	VTBL  V4.B16, [V24.B16], V5.B16
	VAND  V27.B16, V1.B16, V1.B16
	VTBL  V1.B16, [V25.B16], V6.B16
	VAND  V6.B16, V5.B16, V5.B16
	VUSHR $4, V0.B16, V4.B16
	VTBL  V4.B16, [V26.B16], V6.B16
	VAND  V6.B16, V5.B16, V5.B16

	VUMAX V28.B16, V2.B16, V4.B16 // itself, if it is the first byte of three or four
	VCMEQ V2.B16, V4.B16, V4.B16
	VUMAX V29.B16, V3.B16, V6.B16
	VCMEQ V3.B16, V6.B16, V6.B16
	VORR  V6.B16, V4.B16, V4.B16
	VAND  V30.B16, V4.B16, V4.B16
	VEOR  V4.B16, V5.B16, V5.B16
	VORR  V5.B16, V8.B16, V8.B16
	SUB   $1, R1
	CBNZ  R1, again

	VMOV V8.D[0], R3
	VMOV V8.D[1], R4
	ORR  R3, R4, R3
	CMP  $0, R3
	CSET EQ, R3
	MOVB R3, ret+16(FP)
	RET
