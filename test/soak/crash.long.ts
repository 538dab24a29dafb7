/** The controller killed under load 20 times instead of once */
process.env["CROFT_CRASH_ROUNDS"] = "20";
await import("../controller/crash.real.ts");
