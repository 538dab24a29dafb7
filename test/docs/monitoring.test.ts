/** The alert rules and the dashboard ask for metrics that there are. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { packageFile } from "../../os/files/package.ts";

const read = (...path: string[]) => readFileSync(packageFile(...path), "utf8");
const sources = read("controller", "metrics.ts") + read("agent", "status", "metrics.ts");

interface Rules {
  groups: { rules: { alert: string; expr: string; annotations: { summary: string } }[] }[];
}
interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
}

const { groups } = parse(read("docs", "monitoring", "croft-alerts.yaml")) as Rules;
const { panels } = JSON.parse(read("docs", "monitoring", "croft-dashboard.json")) as Dashboard;
const asked: [where: string, expression: string][] = [
  ...groups.flatMap(({ rules }) => rules.map(({ alert, expr }): [string, string] => [alert, expr])),
  ...panels.flatMap(({ title, targets }) => targets.map(({ expr }): [string, string] => [title, expr])),
];

test("alert rules and dashboard ask for metrics that agents and controllers have, and that are documented", () => {
  const manual = read("docs", "monitoring.md");
  assert.ok(asked.length > 15);
  for (const [where, expression] of asked) {
    const names = [...expression.matchAll(/\bcroft_[a-z_]+/g)].map(([name]) => name);
    assert.ok(names.length > 0, where);
    for (const name of names) {
      const plain = name.replace(/_(bucket|sum|count)$/, "");
      assert.ok(sources.includes(`"${plain}"`), `${where}: ${plain}`);
      assert.ok(manual.includes(`| \`${plain}\` |`), `${where}: ${plain} is not in the manual`);
    }
  }
});
