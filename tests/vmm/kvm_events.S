/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest in real mode that hears of ACPI events: it enables the power button and all general-purpose
 * events, prints "R", and for each interrupt of IRQ 9 (level-triggered, through the PICs) two digits:
 * the events that it found and cleared, and the power button. A guest that could not clear its
 * interrupt would print "00" for ever.
 */
    .set PM1_STS, 0x600
    .set PM1_EN, 0x602
    .set GPE0_STS, 0x608
    .set GPE0_EN, 0x609
    .set COM1, 0x3f8
    .set VECTOR, 0x29 /* of IRQ 9 */

.macro outb_imm value, port
    mov     $\value, %al
    out     %al, $\port
.endm

    .section .rodata
    .global kvm_events_begin
    .global kvm_events_end
    .code16
kvm_events_begin:
    xor     %ax, %ax
    mov     %ax, %ds
    call    1f
1:  pop     %bx
    add     $(handler - 1b), %bx
    mov     %bx, 4 * VECTOR
    mov     %ax, 4 * VECTOR + 2
    outb_imm 0x11, 0x20
    outb_imm 0x11, 0xa0
    outb_imm 0x20, 0x21
    outb_imm 0x28, 0xa1
    outb_imm 0x04, 0x21
    outb_imm 0x02, 0xa1
    outb_imm 0x01, 0x21
    outb_imm 0x01, 0xa1
    outb_imm 0xfb, 0x21
    outb_imm 0xfd, 0xa1
    mov     $0x4d1, %dx
    mov     $0x02, %al
    out     %al, %dx
    mov     $PM1_EN, %dx
    mov     $0x0100, %ax
    out     %ax, %dx
    mov     $GPE0_EN, %dx
    mov     $0xff, %al
    out     %al, %dx
    mov     $COM1, %dx
    mov     $'R', %al
    out     %al, %dx
2:  sti
    hlt
    jmp     2b

handler:
    mov     $GPE0_STS, %dx
    in      %dx, %al
    out     %al, %dx
    add     $'0', %al
    mov     $COM1, %dx
    out     %al, %dx
    mov     $PM1_STS, %dx
    in      %dx, %ax
    out     %ax, %dx
    mov     %ah, %al
    add     $'0', %al
    mov     $COM1, %dx
    out     %al, %dx
    outb_imm 0x20, 0xa0
    outb_imm 0x20, 0x20
    iret
kvm_events_end:

    .section .note.GNU-stack, "", @progbits
