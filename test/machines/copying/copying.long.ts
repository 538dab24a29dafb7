/** Copying a machine to a host in a network namespace of its own is interrupted, killed at either end, and cut off */
process.env["CROFT_COPY_KILLS"] = "1";
await import("./copy.real.ts");
