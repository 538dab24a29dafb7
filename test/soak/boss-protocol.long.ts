/** The boss against a double that breaks the protocol by chance: 1,000 scripts instead of 25 */
process.env["CROFT_DOUBLE_SCRIPTS"] = "1000";
await import("../boss/protocol.real.ts");
