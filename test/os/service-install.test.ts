import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted, unitText } from "../../os/service/service-install.ts";

test("lines of a unit are replaced, and nothing else", () => {
  const text = unitText("croft-agent.target");
  const changed = unitText("croft-agent.target", { Conflicts: ["a.target", "b.target"] });
  assert.equal(changed, text.replace("Conflicts=shutdown.target", "Conflicts=a.target\nConflicts=b.target"));
  assert.throws(() => unitText("croft-agent.target", { Nonsense: "1" }), /has no line Nonsense=/);
});

test("paths in a unit keep their blanks, and are no specifiers", () => {
  assert.equal(quoted("/build/machines"), "/build/machines");
  assert.equal(quoted("/srv/100%"), "/srv/100%%");
  assert.equal(quoted("/srv/a b"), '"/srv/a b"');
  assert.equal(quoted('/srv/"a'), '"/srv/\\"a"');
});
