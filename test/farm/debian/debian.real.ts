/** Real compilers in a Debian machine, all the way to the controller. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { script } from "../../worker/sources.ts";
import { buildIn, debianFarm, makefile, program } from "./farm.ts";

/** What packages are built with, and nothing of the host that made the machine. */
const hasPrograms = `
for program in make cmake meson autoconf libtoolize pkg-config git curl bison flex g++ xz lz4 ip python3; do
  command -v $program > /dev/null || echo "missing $program"
done
test -s /etc/ssl/certs/ca-certificates.crt || echo "missing certificates"
test ! -e /etc/apt/apt.conf.d/99mmdebstrap || echo "settings of the host"
echo "programs were looked for"
`;

const farm = debianFarm();

test("a compiler's warning makes update one with warnings, a failing test is an error of the operation test", async () => {
  const { view, statuses, log } = await buildIn(farm(), "wrong", {
    "hello.c": program(`int unused;\nputs("hello");`),
    Makefile: makefile("sh ./has-programs && ./hello | grep goodbye"),
    "has-programs": script(hasPrograms),
  });
  assert.equal(view.status, "error", log);
  assert.match(log, /warning: unused variable/);
  assert.match(log, /^programs were looked for$/m);
  assert.doesNotMatch(log, /^(missing|settings of the host)/m);
  assert.deepEqual(statuses.slice(-2), ["update warning", "test error"]);
});
