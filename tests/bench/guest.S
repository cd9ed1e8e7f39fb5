/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guest that is measured: the same bytes under our VMM and, out of a ROM, under its rival. Real
 * mode, and code that runs wherever it is put; segment 0 holds vectors and stack. It says R when it
 * is ready, then sleeps, and obeys what is typed on the first serial port:
 *   p  writes to the port for ever
 *   r  reads a byte of every page of the first range
 *   t  writes a byte to every page of the second range
 * All but p is answered with the same byte, when it is done.
 */
#include "bench/guest_image.h"

#define UART       BENCH_GUEST_SERIAL_PORT
#define RBR        (UART + 0)
#define IER        (UART + 1)
#define FCR        (UART + 2)
#define LCR        (UART + 3)
#define MCR        (UART + 4)
#define LSR        (UART + 5)
#define LSR_DR     0x01
#define SPIV       0xfee000f0
#define APIC_ON    0x1ff
#define LVT_LINT0  0xfee00350
#define EXTINT     0x700
#define GDT        0x600
#define VECTOR     0x20          /* of the first PIC's line 0 */
#define SERIAL_IVT (4 * (VECTOR + 4))

.macro outb_imm value, port
    movb    $\value, %al
    outb    %al, $\port
.endm

.macro serial_out register, value
    movw    $\register, %dx
    movb    $\value, %al
    outb    %al, %dx
.endm

    .section .rodata.bench_guest, "a", @progbits
    .globl  bench_guest, bench_guest_end
    .hidden bench_guest, bench_guest_end
    .code16
    .balign 16
bench_guest:
    jmp     start
    .balign 4
    .fill   BENCH_GUEST_CODE - BENCH_GUEST_RANGES, 1, 0 /* struct bench_guest_ranges */

start:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    movw    $0x8000, %sp
    call    1f
1:  popw    %bp                     /* everything is found relative to it */
    leaw    (on_serial - 1b)(%bp), %ax
    movw    %ax, SERIAL_IVT
    movw    %cs, SERIAL_IVT + 2
    subw    $(1b - bench_guest), %bp

    /* ES reaches 4 GiB: its limit stays when protected mode is left again ("unreal mode"). */
    movl    $0x0000ffff, GDT + 8
    movl    $0x00cf9300, GDT + 12
    movw    $15, GDT + 16
    movl    $GDT, GDT + 18
    lgdtl   GDT + 16
    movl    %cr0, %eax
    orb     $1, %al
    movl    %eax, %cr0
    movw    $8, %bx
    movw    %bx, %es
    andb    $0xfe, %al
    movl    %eax, %cr0
    movl    $SPIV, %edi             /* no firmware has opened the way from the PIC */
    movl    $APIC_ON, %eax
    movl    %eax, %es:(%edi)
    movl    $LVT_LINT0, %edi
    movl    $EXTINT, %eax
    movl    %eax, %es:(%edi)

    outb_imm 0x11, 0x20             /* 8259A: vectors, cascade, 8086 mode; only line 4 is open */
    outb_imm VECTOR, 0x21
    outb_imm 0x04, 0x21
    outb_imm 0x01, 0x21
    outb_imm 0xef, 0x21
    outb_imm 0xff, 0xa1

    serial_out LCR, 0x03            /* 8 bits; FIFOs; OUT2 opens the interrupt gate of a PC */
    serial_out FCR, 0x07
    serial_out MCR, 0x0b
    serial_out IER, 0x01
    serial_out RBR, 'R'
1:  sti
    hlt
    jmp     1b

on_serial:
    movw    $LSR, %dx
    inb     %dx, %al
    testb   $LSR_DR, %al
    jz      9f
    movw    $RBR, %dx
    inb     %dx, %al
    cmpb    $'p', %al
    je      2f
    cmpb    $'r', %al
    je      3f
    cmpb    $'t', %al
    je      5f
1:  outb    %al, %dx
    jmp     on_serial

2:  outb    %al, %dx
    jmp     2b

3:  movl    %cs:(BENCH_GUEST_RANGES + 0)(%bp), %edi
    movl    %cs:(BENCH_GUEST_RANGES + 4)(%bp), %ecx
4:  movb    %es:(%edi), %ah
    addl    $4096, %edi
    cmpl    %ecx, %edi
    jb      4b
    jmp     1b

5:  movl    %cs:(BENCH_GUEST_RANGES + 8)(%bp), %edi
    movl    %cs:(BENCH_GUEST_RANGES + 12)(%bp), %ecx
6:  movb    %al, %es:(%edi)
    addl    $4096, %edi
    cmpl    %ecx, %edi
    jb      6b
    jmp     1b

9:  outb_imm 0x20, 0x20             /* end of interrupt */
    iretw
bench_guest_end:

    .section .note.GNU-stack, "", @progbits
