/**
 * Loaded into a controller: writes to the file $RECORD what it writes and syncs, and when it answers, in order, one
 * event a line. Plain JavaScript, as it is loaded before anything else.
 */
import fs from "node:fs";
import { ServerResponse } from "node:http";
import { syncBuiltinESMExports } from "node:module";

const { writeSync, fsyncSync, readlinkSync } = fs;
const record = fs.openSync(process.env.RECORD, "a");
const note = (event, subject) => writeSync(record, `${process.pid} ${event} ${subject}\n`);
const pathOf = (descriptor) => readlinkSync(`/proc/self/fd/${descriptor}`);

fs.writeSync = (descriptor, ...rest) => {
  const written = writeSync(descriptor, ...rest);
  note("write", pathOf(descriptor));
  return written;
};
fs.fsyncSync = (descriptor) => {
  fsyncSync(descriptor);
  note("sync", pathOf(descriptor));
};
syncBuiltinESMExports();

const { end } = ServerResponse.prototype;
ServerResponse.prototype.end = function (...values) {
  note("answer", `${this.req.method} ${this.req.url} ${this.statusCode}`);
  return end.apply(this, values);
};
