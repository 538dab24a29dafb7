/** Copying a machine to another host is interrupted and killed at either end */
process.env["CROFT_COPY_KILLS"] = "1";
await import("./copy.real.ts");
