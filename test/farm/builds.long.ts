/** All builds that go wrong, in a real machine: those, too, that the worker's tests show without one */
process.env["CROFT_EVERY_BUILD"] = "yes";
await import("./builds.real.ts");
