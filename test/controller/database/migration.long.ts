/** The change of an older database's tables breaks off at each of its statements, not at every sixteenth */
process.env["CROFT_EVERY_STATEMENT"] = "yes";
await import("./migration.real.ts");
