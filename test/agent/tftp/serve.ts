/** Serves TFTP in a process of its own: `serve.ts PORT READABLE WRITABLE`, until it is told to end. */
import { once } from "node:events";
import { anyone } from "../../../agent/tftp/requesters.ts";
import { TftpServer } from "../../../agent/tftp/server.ts";
import { silentLog } from "../../../os/log.ts";

const [port, readable, writable] = process.argv.slice(2);
await using _server = await TftpServer.start({
  address: "127.0.0.1",
  port: Number(port),
  readable: readable!,
  writable: writable!,
  requesters: anyone,
  uploadMaxBytes: 1024 ** 3,
  log: silentLog(),
});
await once(process, "SIGTERM");
