import assert from "node:assert/strict";
import { test } from "node:test";
import { logOf, runGuest, shellsOf } from "./guest.ts";
import { packSource, script, serveSources } from "./sources.ts";
import { formatTask, parseTask } from "../../manifests/task.ts";

/** Forms of a value that a reader may meet, and what they mean. */
const forms: readonly (readonly [written: string, meaning: string])[] = [
  [" plain", "plain"],
  ["\t blanks around \t", "blanks around"],
  [" joined \\\nline", "joined line"],
  [" two\\\n\\\nlines", "two\nlines"],
  [" two\\\n\\\n\\\nagain", "two\nagain"],
  [" two\\\n\\\n\\\n\\\nbreaks", "two\n\nbreaks"],
  [" ends in one\\\\", "ends in one\\"],
  [" ends in two\\\\\\", "ends in two\\\\"],
  [" joins a comment \\\n# none", "joins a comment # none"],
  ["\n\\\nnew form\n\\", "new form"],
  ["\\\nold form\n\\", "old form"],
  [
    "\n\\\n  kept  \n\n# : kept\n\\\\\nx\\\\\njoined \\\nline\n\\",
    "  kept  \n\n# : kept\n\\\nx\\\njoined line",
  ],
  ["\n\\\na\\\n\\", "a"],
  ["", ""],
  ["\n\\\n\\", ""],
];

for (const shell of shellsOf("busybox", "dash"))
  test(`values are read as the format has them (${shell})`, async () => {
    const head =
      "# task\n: 1\nname: hello\nversion: 1.0\nmachine: m\ntarget: t\nrepository-url: http://127.0.0.1:9/\n";
    const names = forms.map((_, index) => `form-${index}`);
    const body = forms.map(([written], index) => `${names[index]}:${written}\n`).join("");
    const show = script(
      `for name in ${names.join(" ")}; do printf '[%s]\\n' "$(cat /run/croft/task/$name; echo .)"; done`,
      "exit 1",
    );
    for (const ending of ["\n", "\r\n"]) {
      const { result } = await runGuest({
        shell,
        task: (head + body).replaceAll("\n", ending),
        files: { "etc/croft/environments/default": show },
      });
      assert.equal(logOf(result, "fetch"), forms.map(([, meaning]) => `[${meaning}.]`).join("\n"));
    }
  });

test("a task as the agent writes it is read", async () => {
  await using sources = await serveSources();
  await packSource(sources, { ".croft/configure": script("printf '<%s>\\n' \"$@\"") });
  const long = "x".repeat(300);
  const parsed = parseTask(
    Buffer.from(
      `: 1\nname: hello\nversion: 1.0\nmachine: m\ntarget: t\nrepository-url: ${sources.url}\npackage-config: ${long} "a  b" 'c\\d' e\\\\\n`,
    ),
  );
  const { result } = await runGuest({ shell: "busybox", task: Buffer.from(formatTask(parsed)).toString() });
  assert.ok(logOf(result, "configure").endsWith(`<${long}>\n<a  b>\n<c\\d>\n<e\\>`));
});
