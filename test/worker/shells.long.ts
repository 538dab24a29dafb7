/** The guest's worker under each shell: all that is tried under one or two of them in `npm test`, and all ways to name a commit */
process.env["CROFT_EVERY_SHELL"] = "yes";
const parts = ["operations", "failures", "log", "scarce", "task-manifest", "builders", "fetch"];
for (const part of parts) await import(`./${part}.real.ts`);
