// Lint rules; the first of them is the architecture: imports between the rooms only go downwards.
import { fileURLToPath } from "node:url";
import { dirname, relative, resolve, sep } from "node:path";
import tseslint from "typescript-eslint";

const root = dirname(fileURLToPath(import.meta.url));

/** Room -> what it may import besides itself (docs/architecture.md has the same table). */
const mayImport = {
  bin: ["agent", "machines", "manifests", "controller", "boss", "worker", "os"],
  agent: ["machines", "manifests", "os"],
  machines: ["manifests", "os"],
  manifests: [],
  controller: ["manifests", "os"],
  boss: ["worker", "os"],
  worker: ["os"],
  os: [],
};

const room = (path) => relative(root, path).split(sep)[0];

const importDirection = {
  meta: {
    type: "problem",
    schema: [],
    messages: { up: "{{from}}/ must not import {{to}}/: imports only go downwards" },
  },
  create(context) {
    const from = room(context.filename);
    const allowed = mayImport[from];
    if (!allowed) return {}; // test/ and the root's own files may import everything
    const check = (node) => {
      const specifier = node.source?.value;
      if (typeof specifier !== "string" || !specifier.startsWith(".")) return;
      const to = room(resolve(dirname(context.filename), specifier));
      if (to !== from && !allowed.includes(to)) context.report({ node, messageId: "up", data: { from, to } });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};

/** `manifests/` is pure: no file, no network, no process. */
const pure = {
  files: ["manifests/**/*.ts"],
  rules: { "no-restricted-imports": ["error", { patterns: ["node:*"] }] },
};

export default tseslint.config(
  { ignores: ["node_modules/", "dist/", "controller/dashboard/static/"] },
  ...tseslint.configs.recommended,
  {
    plugins: { croft: { rules: { "import-direction": importDirection } } },
    rules: {
      "croft/import-direction": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "max-lines": ["error", 500],
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
      "no-console": "error",
      eqeqeq: "error",
    },
  },
  {
    files: ["**/*.ts"],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: root } },
    rules: {
      "@typescript-eslint/no-floating-promises": [
        "error",
        {
          allowForKnownSafeCalls: [
            {
              from: "package",
              package: "node:test",
              name: ["test", "it", "describe", "suite", "before", "after"],
            },
          ],
        },
      ],
      "@typescript-eslint/no-misused-promises": [
        "error",
        { checksVoidReturn: { arguments: false, attributes: false } },
      ],
      "@typescript-eslint/await-thenable": "error",
    },
  },
  { files: ["test/**/*.ts"], rules: { "max-lines-per-function": "off" } },
  pure,
);
