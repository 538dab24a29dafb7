import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageFailure } from "../../../os/failure.ts";
import { imageSource } from "../../../machines/import/source.ts";

const digest = "ABCDEF0123456789".repeat(4);

test("what an image is, its name says", () => {
  for (const [place, name, format, compression] of [
    ["debian-12.qcow2", "debian-12.qcow2", "qcow2", undefined],
    ["/a/disk.raw", "disk.raw", "raw", undefined],
    ["disk.raw.xz", "disk.raw.xz", "raw", "xz"],
    ["disk.QCOW2.zst", "disk.QCOW2.zst", "qcow2", "zst"],
    ["https://user:word@host/images/a%20b.qcow2?token=1", "a b.qcow2", "qcow2", undefined],
  ] as const) {
    const source = imageSource(place);
    assert.deepEqual([source.name, source.format, source.compression], [name, format, compression]);
  }
});

test("where the name does not say it, the operator has to, and is believed", () => {
  for (const place of ["disk.img", "disk.img.xz", "disk", "disk.vmdk", 'json:{"driver":"raw"}', ""])
    assert.throws(() => imageSource(place), UsageFailure, place);
  assert.equal(imageSource("disk.img", { format: "qcow2" }).format, "qcow2");
  assert.equal(imageSource("disk.img.xz", { format: "raw" }).compression, "xz");
  assert.equal(imageSource("disk.qcow2", { format: "raw" }).format, "raw");
});

test("over http: a checksum is required, and other protocols are refused", () => {
  assert.throws(() => imageSource("http://host/disk.qcow2"), /over http: anybody on the way can exchange it/);
  assert.equal(imageSource("http://host/disk.qcow2", { sha256: digest }).sha256, digest.toLowerCase());
  assert.equal(imageSource("https://host/disk.qcow2").sha256, undefined);
  for (const place of ["ftp://host/disk.qcow2", "file:///disk.qcow2", "nbd://host/disk.qcow2"])
    assert.throws(() => imageSource(place, { sha256: digest }), /is none of file names, http: and https:/);
});
