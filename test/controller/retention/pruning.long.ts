/** 10,000 builds of which half are removed by a controller that is killed five times meanwhile */
process.env["CROFT_PRUNED_BUILDS"] = "10000";
process.env["CROFT_PRUNE_KILLS"] = "5";
await import("./killed.real.ts");
