import assert from "node:assert/strict";
import { test } from "node:test";
import { formatListenAddress, parseListenAddress } from "../../../os/network/listen-address.ts";

test("an address and its port are written as they are read, and as URLs have them", () => {
  for (const text of ["127.0.0.1:0", "[::1]:9400", "[fe80::1]:65535", "localhost:80"]) {
    const { address, port } = parseListenAddress(text)!;
    assert.equal(formatListenAddress(address, port), text);
    assert.equal(URL.canParse(`http://${text}/`), true, text);
  }
  for (const wrong of ["::1:80", "[::1]", "a:65536", "a b:1"])
    assert.equal(parseListenAddress(wrong), undefined);
});
