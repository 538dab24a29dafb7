# The first thing that runs in a restored machine (worker/guest/parts/78-warm.sh has it as bytes): busybox can neither set a
# clock to less than a second nor have the kernel take a new random seed.
#
# Writes "?" to standard output; reads a struct timespec and 64 random bytes; sets the clock; writes the bytes to
# /dev/urandom and has the kernel's generator seeded again (RNDRESEEDCRNG: what is written alone counts only minutes later);
# writes 32 bytes of it to standard output. Status 0, also without input: then it has shown that it can be run; else 1.
#
# as -o waken.o x86_64.s && objcopy -O binary waken.o waken
        .set base, 0x400000
header: .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        .short 2, 62                            # an executable, x86-64
        .long 1
        .quad base + start - header, segment - header, 0
        .long 0
        .short 64, 56, 1, 0, 0, 0
segment: .long 1, 5                             # to be loaded, read and executed
        .quad 0, base, base, end - header, end - header, 0x1000
start:  sub $128, %rsp
        mov $1, %eax                            # write(1, "?", 1)
        mov $1, %edi
        lea ask(%rip), %rsi
        mov $1, %edx
        syscall
        xor %ebx, %ebx
more:   xor %eax, %eax                          # read(0, buffer + got, 80 - got)
        xor %edi, %edi
        lea (%rsp,%rbx), %rsi
        mov $80, %edx
        sub %ebx, %edx
        syscall
        test %eax, %eax
        jz exit
        js fail
        add %eax, %ebx
        cmp $80, %ebx
        jne more
        mov $227, %eax                          # clock_settime(CLOCK_REALTIME, buffer)
        mov %rsp, %rsi
        syscall
        test %eax, %eax
        jnz fail
        mov $2, %eax                            # open("/dev/urandom", O_RDWR)
        lea path(%rip), %rdi
        mov $2, %esi
        syscall
        test %eax, %eax
        js fail
        mov %eax, %ebx
        mov $1, %eax                            # write(device, buffer + 16, 64)
        mov %ebx, %edi
        lea 16(%rsp), %rsi
        mov $64, %edx
        syscall
        cmp $64, %eax
        jne fail
        mov $16, %eax                           # ioctl(device, RNDRESEEDCRNG)
        mov %ebx, %edi
        mov $0x5207, %esi
        syscall
        test %eax, %eax
        jnz fail
        xor %eax, %eax                          # read(device, buffer, 32)
        mov %rsp, %rsi
        mov $32, %edx
        syscall
        cmp $32, %eax
        jne fail
        mov $1, %eax                            # write(1, buffer, 32)
        mov $1, %edi
        syscall
        xor %edi, %edi
        cmp $32, %eax
        je exit
fail:   mov $1, %edi
exit:   mov $60, %eax
        syscall
ask:    .byte '?'
path:   .asciz "/dev/urandom"
end:
