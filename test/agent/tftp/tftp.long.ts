/** Every TFTP client gets and puts more blocks than can be numbered, and a flood that lasts five times as long */
process.env["CROFT_TFTP_LARGE"] = "yes";
process.env["CROFT_FLOOD_TIMES"] = "500";
await import("./clients.real.ts");
await import("./limits.real.ts");
