/** Pages of the manual for all commands: two with words of their own, the others from what the commands declare. */
import { agentPage } from "../agent/settings/manual.ts";
import { bossPage } from "../boss/manual.ts";
import { packageVersion } from "../os/files/package.ts";
import { commandPage } from "../os/manual/command-page.ts";
import { sentence, type ManualPage, type Section } from "../os/manual/page.ts";
import { subcommands } from "./subcommands.ts";

/** Sections that the declarations do not have, by command. */
const more: Record<string, readonly Section[]> = {
  controller: [
    {
      title: "Files",
      blocks: [
        {
          terms: [
            ["`/etc/croft/controller.yaml`", "Configuration of the service."],
            ["`/var/lib/croft-controller`", "Its database, logs and artifacts."],
          ],
        },
      ],
    },
    {
      title: "See also",
      blocks: ["`croft-agent`(1), `croft-submit`(1). docs/controller.md has its configuration."],
    },
  ],
  submit: [
    {
      title: "Environment",
      blocks: [
        {
          terms: [
            ["`CROFT_CONTROLLER`", "The controller's URL."],
            ["`CROFT_TOKEN`", "The token that shows who is asking."],
          ],
        },
      ],
    },
    {
      title: "Exit status",
      blocks: [
        {
          terms: [
            ["0", "All is well."],
            ["1", "A failure."],
            ["2", "Wrong usage."],
            ["3", "A build failed that was waited for."],
          ],
        },
      ],
    },
  ],
};

/** All pages. */
export async function manualPages(): Promise<ManualPage[]> {
  const pages: ManualPage[] = [agentPage, bossPage, overviewPage()];
  for (const [name, { summary, load }] of Object.entries(subcommands))
    if (!pages.some((page) => page.name === `croft-${name}`))
      pages.push(commandPage(await load(), { summary, version: packageVersion, more: more[name] ?? [] }));
  return pages;
}

function overviewPage(): ManualPage {
  return {
    name: "croft",
    section: 1,
    summary: "a build farm: clean virtual machines, results that are never lost",
    version: packageVersion,
    sections: [
      {
        title: "Synopsis",
        blocks: ["`croft` COMMAND [OPTIONS]", "`croft help` [COMMAND]", "`croft --version`"],
      },
      {
        title: "Description",
        blocks: [
          "A controller queues builds, agents on build hosts perform each in a clean virtual machine, and people submit builds and follow their logs. A boss builds a matrix of targets and commits on many hosts by ssh, without controller or machines. Each command has a page of its own.",
        ],
      },
      {
        title: "Commands",
        blocks: [
          {
            terms: Object.entries(subcommands).map(([name, { summary }]): [string, string] => [
              `\`croft-${name}\`(1)`,
              sentence(summary),
            ]),
          },
        ],
      },
    ],
  };
}
