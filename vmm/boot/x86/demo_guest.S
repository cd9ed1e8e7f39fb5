/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The demo guest: bytes in our read-only data, run by nobody but a vCPU. Five times a second it
 * prints "tick N nonce=<32 hex digits> rtc=<seconds>"; it echoes what it is sent; `q` powers the
 * machine off, or, on boards of release 0.1.0, resets it.
 *
 * Of several vCPUs the first does all this, and starts the others as MP 1.4, B.4 says. Each of them
 * sleeps, and counts the interrupts of its own timer, ten a second. The line goes on with
 * " cpu1=<count> cpu2=<count>" and so forth; or, of more than eight vCPUs, with
 * " cpus=<vCPUs> sum=<counts> min=<least> max=<most>", in which the first does not count.
 *
 * Interrupt handlers only count and queue; the main loop does all output, so that an echo never
 * lands inside a tick line: echoed bytes come between lines, and a tick that follows unfinished
 * echo starts a new line first.
 *
 * It keeps to plain integer instructions: a KVM that emulates every instruction has no others. For
 * the same reason the other vCPUs stay in real mode, and reach their LAPIC through MSRs (x2APIC).
 *
 * Registers that nothing changes after the start: rbp variables, r12d serial port, r13d port of the end,
 * r14 RTC, r15d number of vCPUs. The variables start as 0, as fresh RAM is.
 */
#include "vmm/boot/x86/demo_guest.h"

/* Variables, relative to rbp. */
#define NONCE    0x00
#define JIFFIES  0x10 /* timer interrupts so far */
#define NEXT     0x18 /* JIFFIES of the next tick */
#define COUNT    0x20 /* ticks printed */
#define HEAD     0x28 /* of the queue: next byte in, by the interrupt handler */
#define TAIL     0x29 /* next byte out, by the main loop */
#define RX_OFF   0x2a /* the queue was full: the receive interrupt is off */
#define MID_LINE 0x2b /* an echo has left the cursor inside a line */
#define OFF_VALUE 0x2c /* what ends the machine, written to the port in r13d */
#define IDTR     0x30
#define QUEUE    0x100 /* 256 bytes, so that an index wraps by itself */
#define IDT      0x1000

#define HZ              50
#define TICK_JIFFIES    (HZ / 5)
#define PIT_DIVISOR     (1193182 / HZ)
#define FIRST_VECTOR    0x20
#define LAST_VECTOR     0x2f
#define CODE_SELECTOR   0x10
#define INTERRUPT_GATE  0x8e00
#define POLLS           64

/* A longer line would be hard to read. */
#define CPUS_SHOWN 8

/* Interrupt commands to all vCPUs but the sender, for the LAPIC at its usual place. */
#define LAPIC           0xfee00000
#define LAPIC_ICR       0x300
#define ICR_INIT        0xc4500
#define ICR_STARTUP     (0xc4600 | STASIS_DEMO_AP_VECTOR)

/* x2APIC: MSRs (SDM 3A, 10.12). KVM's timer counts nanoseconds. */
#define APIC_BASE       0x1b
#define APIC_BASE_X2    0xc00 /* enabled, as x2APIC */
#define X2APIC_ID       0x802
#define X2APIC_EOI      0x80b
#define X2APIC_SVR      0x80f
#define X2APIC_LVTT     0x832
#define X2APIC_TMICT    0x838
#define X2APIC_TDCR     0x83e
#define SVR_ENABLED     0x100
#define LVTT_PERIODIC   0x20000
#define TDCR_BY_1       0xb
#define AP_TIMER        0x30
#define AP_SPURIOUS     0xff
#define AP_PERIOD_NS    100000000

/* MC146818 registers and bits. */
#define RTC_MINUTES 2
#define RTC_HOURS   4
#define RTC_DAY     7
#define RTC_MONTH   8
#define RTC_YEAR    9
#define RTC_A       10
#define RTC_UIP     0x80
#define RTC_CENTURY 0x32

/* 16550A registers and bits. */
#define IER      1
#define FCR      2
#define LCR      3
#define MCR      4
#define LSR      5
#define IER_RDI  0x01
#define LSR_DR   0x01
#define LSR_THRE 0x20

.macro outb_imm value, port
    mov     $\value, %al
    out     %al, $\port
.endm

.macro serial_out register, value
    lea     \register(%r12), %edx
    mov     $\value, %al
    out     %al, %dx
.endm

.macro wrmsr_imm register, value
    mov     $\register, %ecx
    mov     $\value, %eax
    wrmsr
.endm

/* Real mode, which finds its vectors at 0: code of the other vCPUs. */
.macro ap_vector vector, handler
    movl    $(STASIS_DEMO_AP_CODE << 12) + \handler - ap_start, 4 * \vector
.endm

    .section .rodata.stasis_demo_guest, "a", @progbits
    .balign 16
    .globl  stasis_demo_guest, stasis_demo_guest_end
    .hidden stasis_demo_guest, stasis_demo_guest_end
stasis_demo_guest:
    .fill   STASIS_DEMO_ENTRY, 1, 0

    mov     $STASIS_DEMO_DATA, %ebp
    mov     $STASIS_DEMO_BASE, %esi
    movzwl  STASIS_DEMO_PARAM_SERIAL(%rsi), %r12d
    movzwl  STASIS_DEMO_PARAM_OFF(%rsi), %r13d
    mov     STASIS_DEMO_PARAM_OFF_VALUE(%rsi), %al
    mov     %al, OFF_VALUE(%rbp)
    mov     STASIS_DEMO_PARAM_RTC(%rsi), %r14
    movzbl  STASIS_DEMO_PARAM_SERIAL_IRQ(%rsi), %r15d

    /* From here on the nonce lives in one place only, which no image file holds. */
    xor     %edx, %edx
    mov     STASIS_DEMO_PARAM_NONCE(%rsi), %rax
    mov     %rax, NONCE(%rbp)
    mov     %rdx, STASIS_DEMO_PARAM_NONCE(%rsi)
    mov     STASIS_DEMO_PARAM_NONCE + 8(%rsi), %rax
    mov     %rax, NONCE + 8(%rbp)
    mov     %rdx, STASIS_DEMO_PARAM_NONCE + 8(%rsi)

    /* A vector for every line of both PICs: even a masked one can fire spuriously. */
    mov     $FIRST_VECTOR, %ebx
1:  lea     spurious(%rip), %rax
    call    set_gate
    inc     %ebx
    cmp     $LAST_VECTOR, %ebx
    jbe     1b
    mov     $FIRST_VECTOR, %ebx
    lea     on_timer(%rip), %rax
    call    set_gate
    lea     FIRST_VECTOR(%r15), %ebx
    lea     on_serial(%rip), %rax
    call    set_gate
    movw    $(16 * (LAST_VECTOR + 1) - 1), IDTR(%rbp)
    lea     IDT(%rbp), %rax
    mov     %rax, IDTR + 2(%rbp)
    lidt    IDTR(%rbp)

    /* PICs (8259A): vectors, cascade on line 2, all masked but timer and serial port. */
    outb_imm 0x11, 0x20
    outb_imm 0x11, 0xa0
    outb_imm FIRST_VECTOR, 0x21
    outb_imm FIRST_VECTOR + 8, 0xa1
    outb_imm 0x04, 0x21
    outb_imm 0x02, 0xa1
    outb_imm 0x01, 0x21
    outb_imm 0x01, 0xa1
    outb_imm 0xff, 0xa1
    mov     $1, %eax
    mov     %r15d, %ecx
    shl     %cl, %eax
    xor     $0xfe, %al
    out     %al, $0x21

    /* PIT channel 0 (8254): mode 2, rate generator. */
    outb_imm 0x34, 0x43
    outb_imm PIT_DIVISOR & 0xff, 0x40
    outb_imm PIT_DIVISOR >> 8, 0x40

    /* 115200 8N1, FIFOs on and empty, OUT2 opens the interrupt gate of a PC. */
    serial_out LCR, 0x83
    serial_out 0, 0x01
    serial_out IER, 0x00
    serial_out LCR, 0x03
    serial_out FCR, 0x07
    serial_out MCR, 0x0b
    serial_out IER, IER_RDI

    movzbl  STASIS_DEMO_PARAM_CPUS(%rsi), %r15d
    cmp     $1, %r15d
    jbe     main
    lea     ap_start(%rip), %rsi
    mov     $STASIS_DEMO_AP_CODE, %edi
    mov     $(ap_end - ap_start), %ecx
    rep movsb
    ap_vector AP_TIMER, ap_timer
    ap_vector AP_SPURIOUS, ap_spurious
    mov     $LAPIC, %ebx
    movl    $ICR_INIT, LAPIC_ICR(%rbx)
    call    wait_jiffy      /* the first may be short */
    call    wait_jiffy
    movl    $ICR_STARTUP, LAPIC_ICR(%rbx)
    call    wait_jiffy
    movl    $ICR_STARTUP, LAPIC_ICR(%rbx)

main:
    cli
    mov     HEAD(%rbp), %al
    cmp     TAIL(%rbp), %al
    jne     echo
    mov     JIFFIES(%rbp), %rax
    cmp     NEXT(%rbp), %rax
    jae     tick
    sti                     /* takes effect after HLT has begun: no wake-up is lost */
    hlt
    jmp     main

echo:
    sti
    movzbl  TAIL(%rbp), %ecx
    movzbl  QUEUE(%rbp, %rcx), %ebx
    incb    TAIL(%rbp)
    cmpb    $0, RX_OFF(%rbp)
    je      1f
    movb    $0, RX_OFF(%rbp)
    serial_out IER, IER_RDI
1:  cmp     $'q', %bl
    je      off
    cmp     $'\r', %bl
    je      2f
    cmp     $'\n', %bl
    je      2f
    mov     %ebx, %eax
    call    put_char
    movb    $1, MID_LINE(%rbp)
    jmp     main
2:  call    new_line
    jmp     main

tick:                       /* rax: JIFFIES */
    sti
    add     $TICK_JIFFIES, %rax
    mov     %rax, NEXT(%rbp)
    cmpb    $0, MID_LINE(%rbp)
    je      1f
    call    new_line
1:  lea     tick_text(%rip), %rsi
    call    put_text
    incq    COUNT(%rbp)
    mov     COUNT(%rbp), %rax
    call    put_decimal
    lea     nonce_text(%rip), %rsi
    call    put_text
    call    put_nonce
    lea     rtc_text(%rip), %rsi
    call    put_text
    call    read_clock
    call    put_decimal
    call    put_counters
    call    new_line
    jmp     main

off:
    mov     %r13d, %edx
    mov     OFF_VALUE(%rbp), %al
    out     %al, %dx
1:  hlt
    jmp     1b

/* ebx: vector, rax: handler. Changes rcx, rdi. */
set_gate:
    mov     %ebx, %ecx
    shl     $4, %ecx
    lea     IDT(%rbp, %rcx), %rdi
    mov     %ax, (%rdi)
    movw    $CODE_SELECTOR, 2(%rdi)
    movw    $INTERRUPT_GATE, 4(%rdi)
    shr     $16, %rax
    mov     %eax, 6(%rdi)
    ret

/* rax: seconds since 1970, from RTCDR of the PL031, or from the registers of the MC146818 as it leaves
 * its reset: in BCD, 24 hours. Changes all but rbp and r12 to r15. */
read_clock:
    cmp     $0xffff, %r14
    jbe     1f
    mov     (%r14), %eax
    ret
1:  mov     $RTC_A, %edi    /* the bytes belong together while no update is under way, ... */
    call    read_cmos
    test    $RTC_UIP, %al
    jnz     1b
    xor     %edi, %edi
    call    read_bcd
    mov     %eax, %r11d     /* seconds */
    mov     $RTC_CENTURY, %edi
    call    read_bcd
    imul    $100, %eax, %r8d
    mov     $RTC_YEAR, %edi
    call    read_bcd
    add     %eax, %r8d      /* year */
    mov     $RTC_MONTH, %edi
    call    read_bcd
    mov     %eax, %r9d      /* month */
    mov     $RTC_DAY, %edi
    call    read_bcd
    mov     %eax, %r10d     /* day, then days since 1970 */
    mov     $RTC_HOURS, %edi
    call    read_bcd
    imul    $60, %eax, %esi
    mov     $RTC_MINUTES, %edi
    call    read_bcd
    add     %eax, %esi
    imul    $60, %esi, %esi
    add     %r11d, %esi     /* seconds since midnight */
    xor     %edi, %edi
    call    read_bcd
    cmp     %eax, %r11d     /* ... and none has come meanwhile */
    jne     1b

    /* Years begin in March, so that the leap day is their last; 719469 days lie before 1970. */
    sub     $3, %r9d
    jge     2f
    add     $12, %r9d
    dec     %r8d
2:  imul    $365, %r8d, %eax
    lea     -719469(%r10, %rax), %r10
    mov     %r8d, %eax
    shr     $2, %eax
    add     %rax, %r10
    mov     %r8d, %eax
    mov     $100, %ebx
    xor     %edx, %edx
    div     %ebx
    sub     %rax, %r10
    shr     $2, %eax        /* 400 */
    add     %rax, %r10
    imul    $153, %r9d, %eax
    add     $2, %eax
    mov     $5, %ebx
    xor     %edx, %edx
    div     %ebx
    add     %r10, %rax
    imul    $86400, %rax, %rax
    add     %rsi, %rax
    ret

/* edi: register; its byte in eax, which read_bcd decodes. Change rax, rcx, rdx. */
read_cmos:
    mov     %r14d, %edx
    mov     %edi, %eax
    out     %al, %dx
    inc     %edx
    xor     %eax, %eax
    in      %dx, %al
    ret

read_bcd:
    call    read_cmos
    mov     %eax, %ecx
    and     $15, %eax
    shr     $4, %ecx
    imul    $10, %ecx, %ecx
    add     %ecx, %eax
    ret

/* al: byte. Changes rax, rcx, rdx. When nobody takes our output, waiting costs no CPU: after some
 * polls it sleeps until the next interrupt. */
put_char:
    mov     %eax, %ecx
    shl     $16, %ecx
    mov     $POLLS, %cx
    lea     LSR(%r12), %edx
1:  in      %dx, %al
    test    $LSR_THRE, %al
    jnz     2f
    dec     %cx
    jnz     1b
    hlt
    inc     %cx
    jmp     1b
2:  shr     $16, %ecx
    mov     %ecx, %eax
    mov     %r12d, %edx
    out     %al, %dx
    ret

new_line:
    movb    $0, MID_LINE(%rbp)
    lea     line_end(%rip), %rsi
/* rsi: text that ends with 0. */
put_text:
    lodsb
    test    %al, %al
    jz      1f
    call    put_char
    jmp     put_text
1:  ret

/* rax: number. Digits come out last first, so they go through the stack. */
put_decimal:
    mov     $10, %ebx
    xor     %edi, %edi
1:  xor     %edx, %edx
    div     %rbx
    add     $'0', %edx
    push    %rdx
    inc     %edi
    test    %rax, %rax
    jnz     1b
2:  pop     %rax
    call    put_char
    dec     %edi
    jnz     2b
    ret

put_nonce:
    xor     %edi, %edi
    lea     digits(%rip), %rsi
1:  movzbl  NONCE(%rbp, %rdi), %ebx
    mov     %ebx, %eax
    shr     $4, %eax
    mov     (%rsi, %rax), %al
    call    put_char
    and     $15, %ebx
    mov     (%rsi, %rbx), %al
    call    put_char
    inc     %edi
    cmp     $16, %edi
    jb      1b
    ret

/* Of all vCPUs but the first. Changes r8 to r11 too. */
put_counters:
    mov     $1, %r8d
    cmp     $CPUS_SHOWN, %r15d
    ja      put_sums
1:  cmp     %r15d, %r8d
    jae     2f
    lea     cpu_text(%rip), %rsi
    call    put_text
    mov     %r8d, %eax
    call    put_decimal
    mov     $'=', %eax
    call    put_char
    mov     %r8d, %eax
    call    read_counter
    call    put_decimal
    inc     %r8d
    jmp     1b
2:  ret

put_sums:
    xor     %r9d, %r9d
    mov     $-1, %r10d
    xor     %r11d, %r11d
1:  mov     %r8d, %eax
    call    read_counter
    add     %rax, %r9
    cmp     %eax, %r10d
    cmova   %eax, %r10d
    cmp     %eax, %r11d
    cmovb   %eax, %r11d
    inc     %r8d
    cmp     %r15d, %r8d
    jb      1b
    lea     cpus_text(%rip), %rsi
    mov     %r15d, %eax
    call    put_number
    lea     sum_text(%rip), %rsi
    mov     %r9, %rax
    call    put_number
    lea     min_text(%rip), %rsi
    mov     %r10d, %eax
    call    put_number
    lea     max_text(%rip), %rsi
    mov     %r11d, %eax

/* rsi: text before it, rax: number. */
put_number:
    push    %rax
    call    put_text
    pop     %rax
    jmp     put_decimal

/* eax: id of a vCPU, then its count. */
read_counter:
    imul    $STASIS_DEMO_AP_LINE, %eax, %eax
    mov     STASIS_DEMO_AP_LINES(%rax), %eax
    ret

/* Sleeps until the timer's next interrupt, or the one after it. Changes rax. */
wait_jiffy:
    mov     JIFFIES(%rbp), %rax
1:  sti
    hlt
    cmp     JIFFIES(%rbp), %rax
    je      1b
    ret

on_timer:
    push    %rax
    incq    JIFFIES(%rbp)
    jmp     end_of_interrupt

/* Takes every byte that waits. With the queue full the rest stays in the port, which then holds
 * back its sender; the main loop opens the interrupt again. */
on_serial:
    push    %rax
    push    %rcx
    push    %rdx
1:  lea     LSR(%r12), %edx
    in      %dx, %al
    test    $LSR_DR, %al
    jz      3f
    movzbl  HEAD(%rbp), %ecx
    lea     1(%rcx), %eax
    cmp     TAIL(%rbp), %al
    je      2f
    mov     %r12d, %edx
    in      %dx, %al
    mov     %al, QUEUE(%rbp, %rcx)
    incb    HEAD(%rbp)
    jmp     1b
2:  movb    $1, RX_OFF(%rbp)
    serial_out IER, 0
3:  pop     %rdx
    pop     %rcx
end_of_interrupt:
    outb_imm 0x20, 0x20
    pop     %rax
spurious:
    iretq

/* The other vCPUs begin here, each with 0 at the start of its line, whose end is its stack. */
    .code16
ap_start:
    cli
    mov     $APIC_BASE, %ecx
    rdmsr
    or      $APIC_BASE_X2, %ax
    wrmsr
    mov     $X2APIC_ID, %ecx
    rdmsr
    imul    $STASIS_DEMO_AP_LINE, %ax, %bx
    mov     $(STASIS_DEMO_AP_LINES >> 4), %ax
    mov     %ax, %ds
    mov     %ax, %ss
    lea     STASIS_DEMO_AP_LINE(%bx), %sp
    xor     %edx, %edx
    wrmsr_imm X2APIC_SVR, SVR_ENABLED | AP_SPURIOUS
    wrmsr_imm X2APIC_TDCR, TDCR_BY_1
    wrmsr_imm X2APIC_LVTT, LVTT_PERIODIC | AP_TIMER
    wrmsr_imm X2APIC_TMICT, AP_PERIOD_NS
    mov     $X2APIC_EOI, %ecx /* for good, as 0 in eax and edx and the line in bx */
    xor     %eax, %eax
1:  sti
    hlt
    jmp     1b

ap_timer:
    incl    (%bx)
    wrmsr
ap_spurious:
    iret
ap_end:
    .code64

tick_text:
    .asciz  "tick "
nonce_text:
    .asciz  " nonce="
rtc_text:
    .asciz  " rtc="
cpu_text:
    .asciz  " cpu"
cpus_text:
    .asciz  " cpus="
sum_text:
    .asciz  " sum="
min_text:
    .asciz  " min="
max_text:
    .asciz  " max="
line_end:
    .asciz  "\r\n"
digits:
    .ascii  "0123456789abcdef"
stasis_demo_guest_end:

    .section .note.GNU-stack, "", @progbits
