/** The boss killed 50 times at random while it builds a matrix */
process.env["CROFT_TEST_KILLS"] = "50";
await import("./killed.real.ts");
