# What x86_64.s does, for arm64.
#
# aarch64-linux-gnu-as -o waken.o aarch64.s && aarch64-linux-gnu-objcopy -O binary waken.o waken
        .set base, 0x400000
header: .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        .short 2, 183                           // an executable, AArch64
        .long 1
        .quad base + start - header, segment - header, 0
        .long 0
        .short 64, 56, 1, 0, 0, 0
segment: .long 1, 5                             // to be loaded, read and executed
        .quad 0, base, base, end - header, end - header, 0x1000
start:  sub sp, sp, #128
        mov x0, #1                              // write(1, "?", 1)
        adr x1, ask
        mov x2, #1
        mov x8, #64
        svc #0
        mov x19, #0
more:   mov x0, #0                              // read(0, buffer + got, 80 - got)
        mov x1, sp
        add x1, x1, x19
        mov x2, #80
        sub x2, x2, x19
        mov x8, #63
        svc #0
        cbz x0, exit
        tbnz x0, #63, fail
        add x19, x19, x0
        cmp x19, #80
        b.ne more
        mov x0, #0                              // clock_settime(CLOCK_REALTIME, buffer)
        mov x1, sp
        mov x8, #112
        svc #0
        cbnz x0, fail
        mov x0, #-100                           // openat(AT_FDCWD, "/dev/urandom", O_RDWR)
        adr x1, path
        mov x2, #2
        mov x8, #56
        svc #0
        tbnz x0, #63, fail
        mov x19, x0
        add x1, sp, #16                         // write(device, buffer + 16, 64)
        mov x2, #64
        mov x8, #64
        svc #0
        cmp x0, #64
        b.ne fail
        mov x0, x19                             // ioctl(device, RNDRESEEDCRNG)
        mov x1, #0x5207
        mov x2, #0
        mov x8, #29
        svc #0
        cbnz x0, fail
        mov x0, x19                             // read(device, buffer, 32)
        mov x1, sp
        mov x2, #32
        mov x8, #63
        svc #0
        cmp x0, #32
        b.ne fail
        mov x0, #1                              // write(1, buffer, 32)
        mov x1, sp
        mov x2, #32
        mov x8, #64
        svc #0
        cmp x0, #32
        mov x0, #0
        b.eq exit
fail:   mov x0, #1
exit:   mov x8, #93
        svc #0
ask:    .byte '?'
path:   .asciz "/dev/urandom"
end:
