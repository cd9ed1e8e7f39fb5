/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vCPUs that hand a token on: who has it reads its TSC and its kvmclock and compares them with what
 * its predecessor has read. See kvm_handover.h for the page that they share (RDI).
 *   RSI its own page of kvmclock, R12D its number, R13D its successor's, R14 how often it does so
 * CPUID orders the reading of the TSC behind that of the token; LFENCE is not emulated everywhere.
 */
    .section .rodata
    .global kvm_handover_begin
    .global kvm_handover_end
    .code64
kvm_handover_begin:
    mov     $0x4b564d01, %ecx       /* MSR_KVM_SYSTEM_TIME_NEW */
    mov     %esi, %eax
    or      $1, %eax
    xor     %edx, %edx
    wrmsr
1:  pause
    cmp     %r12d, (%rdi)
    jne     1b
    xor     %eax, %eax
    cpuid
2:  mov     (%rsi), %r8d            /* version: odd while KVM writes */
    test    $1, %r8b
    jnz     2b
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, %r9
    sub     8(%rsi), %rax           /* tsc_timestamp */
    mov     28(%rsi), %cl           /* tsc_shift */
    test    %cl, %cl
    js      3f
    shl     %cl, %rax
    jmp     4f
3:  neg     %cl
    shr     %cl, %rax
4:  mov     24(%rsi), %edx          /* tsc_to_system_mul */
    mul     %rdx
    shrd    $32, %rdx, %rax
    add     16(%rsi), %rax          /* system_time */
    cmp     %r8d, (%rsi)
    jne     2b
    cmp     8(%rdi), %r9
    jae     5f
    incq    24(%rdi)
5:  mov     %r9, 8(%rdi)
    cmp     16(%rdi), %rax
    jae     6f
    incq    32(%rdi)
6:  mov     %rax, 16(%rdi)
    incq    40(%rdi)
    mov     %r13d, (%rdi)
    dec     %r14
    jnz     1b
7:  pause
    jmp     7b
kvm_handover_end:

    .section .note.GNU-stack, "", @progbits
