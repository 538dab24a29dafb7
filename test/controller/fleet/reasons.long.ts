/** Why builds wait: 200 situations by chance, on both databases, each reason tried out */
process.env["CROFT_REASONS"] ??= "200";
await import("./reasons.real.ts");
