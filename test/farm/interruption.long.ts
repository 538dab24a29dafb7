/** Tasks that give way in real machines: three at once to one of level D */
process.env["CROFT_LOWER_TASKS"] = "3";
await import("./interruption.real.ts");
