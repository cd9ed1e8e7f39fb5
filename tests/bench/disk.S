/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver of a virtio disk that reads, so many requests at a time, and says S before the first and
 * E after the last on the first serial port: the same bytes under our VMM and under its rival,
 * where the ROM enters 64-bit mode with what is in RAM. Interrupts and EVENT_IDX as in Linux.
 */
#include "bench/disk_image.h"

#define P_BASE    BENCH_DISK_PARAMS
#define P_STRIDE  BENCH_DISK_PARAMS + 4
#define P_DEPTH   BENCH_DISK_PARAMS + 8
#define P_TOTAL   BENCH_DISK_PARAMS + 12
#define P_SECTORS BENCH_DISK_PARAMS + 16
#define P_MASK    BENCH_DISK_PARAMS + 20
#define P_RANDOM  BENCH_DISK_PARAMS + 24

    .section .rodata.bench_disk, "a", @progbits
    .globl  bench_disk_rom, bench_disk_rom_end, bench_disk_driver, bench_disk_driver_end
    .globl  bench_disk_isr
    .hidden bench_disk_rom, bench_disk_rom_end, bench_disk_driver, bench_disk_driver_end
    .hidden bench_disk_isr

/* ---- the rival's firmware ---- */

    .code16
    .balign 16
bench_disk_rom:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    lgdtl   BENCH_DISK_GDTR
    movl    %cr4, %eax
    orl     $0x20, %eax                 /* PAE */
    movl    %eax, %cr4
    movl    BENCH_DISK_CR3, %eax
    movl    %eax, %cr3
    movl    $0xc0000080, %ecx           /* EFER.LME */
    rdmsr
    orl     $0x100, %eax
    wrmsr
    movl    %cr0, %eax
    orl     $0x80000001, %eax           /* PG, PE */
    movl    %eax, %cr0
    ljmpl   $0x10, $BENCH_DISK_ENTRY
bench_disk_rom_end:

/* ---- the driver ---- */

    .code64
    .balign 16
/* r13: the device; r12: requests in all; r8: made; r11: made available; r9: answered; r14:
 * interrupts seen; r15: a random number */
bench_disk_driver:
    movl    $BENCH_DISK_STACK, %esp
    lidt    BENCH_DISK_IDTR
    movl    $BENCH_DISK_SYSTEM, %esi
1:  movl    (%rsi), %eax
    testl   %eax, %eax
    jz      2f
    movl    4(%rsi), %ecx
    movl    %ecx, (%rax)
    addq    $8, %rsi
    jmp     1b
2:  movl    P_BASE, %r13d
3:  movl    8(%r13), %eax               /* DeviceID */
    cmpl    $2, %eax
    je      4f
    addl    P_STRIDE, %r13d
    jmp     3b
4:  movl    $BENCH_DISK_DEVICE, %esi
5:  movl    (%rsi), %eax
    cmpl    $-1, %eax
    je      6f
    movl    4(%rsi), %ecx
    movl    %ecx, (%r13, %rax)
    addq    $8, %rsi
    jmp     5b
6:  movl    P_TOTAL, %r12d
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r11d, %r11d
    xorl    %r14d, %r14d
    movl    $12345, %r15d
    movb    $'S', %al
    call    say
    xorl    %ebx, %ebx
7:  movl    %ebx, %ecx
    call    make
    incl    %ebx
    cmpl    P_DEPTH, %ebx
    jb      7b

publish:
    movw    %r8w, BENCH_DISK_AVAIL + 2
    lock orl $0, (%rsp)
    movzwl  BENCH_DISK_USED + 4 + 8 * BENCH_DISK_SIZE, %eax /* avail_event */
    movl    %r8d, %ecx
    subl    %eax, %ecx
    decl    %ecx
    movl    %r8d, %eax
    subl    %r11d, %eax
    movl    %r8d, %r11d
    cmpw    %ax, %cx
    jae     wait
    movl    $0, 0x50(%r13)              /* QueueNotify */
wait:
    cli
    movl    BENCH_DISK_IRQS, %eax
    cmpl    %r14d, %eax
    jne     8f
    sti
    hlt
    jmp     wait
8:  movl    %eax, %r14d
take:
    movzwl  BENCH_DISK_USED + 2, %eax
    cmpw    %r9w, %ax
    je      9f
    movl    %r9d, %edx
    andl    $(BENCH_DISK_SIZE - 1), %edx
    movl    BENCH_DISK_USED + 4(, %rdx, 8), %ecx
    shrl    $2, %ecx
    incl    %r9d
    call    make
    jmp     take
9:  movw    %r9w, BENCH_DISK_AVAIL + 4 + 2 * BENCH_DISK_SIZE /* used_event */
    lock orl $0, (%rsp)
    cmpw    %r9w, BENCH_DISK_USED + 2
    jne     take
    cmpl    %r12d, %r9d
    jae     done
    cmpl    %r8d, %r11d
    jne     publish
    jmp     wait
done:
    movb    $'E', %al
    call    say
10: cli
    hlt
    jmp     10b

/* Makes request ecx anew, unless all have been made: another place, and the ring's next entry. */
make:
    cmpl    %r12d, %r8d
    jae     12f
    movl    %r8d, %eax
    cmpl    $0, P_RANDOM
    je      11f
    imull   $1103515245, %r15d, %r15d
    addl    $12345, %r15d
    movl    %r15d, %eax
    shrl    $8, %eax
11: andl    P_MASK, %eax
    imull   P_SECTORS, %eax
    movl    %ecx, %edx
    shll    $4, %edx
    movl    %eax, BENCH_DISK_HEADER + 8(%rdx)
    movl    %r8d, %edx
    andl    $(BENCH_DISK_SIZE - 1), %edx
    shll    $2, %ecx
    movw    %cx, BENCH_DISK_AVAIL + 4(, %rdx, 2)
    incl    %r8d
12: ret

say:
    movw    $0x3f8, %dx
    outb    %al, %dx
    ret

bench_disk_isr:
    pushq   %rax
    movl    0x60(%r13), %eax            /* InterruptStatus */
    testl   %eax, %eax
    jz      13f
    movl    %eax, 0x64(%r13)            /* InterruptACK */
    incl    BENCH_DISK_IRQS
13: movl    $0xfee000b0, %eax           /* EOI */
    movl    $0, (%rax)
    popq    %rax
    iretq
bench_disk_driver_end:

    .section .note.GNU-stack, "", @progbits
