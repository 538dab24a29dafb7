// The architecture as rules on imports, types included: rooms only import downwards, and never in a circle.
// docs/architecture.md has the same tables in words.

/** Top-level folder -> what it may import besides itself. */
const folders = {
  packaging: ["bin", "agent", "machines", "manifests", "controller", "boss", "worker", "os"],
  bin: ["agent", "machines", "manifests", "controller", "boss", "worker", "os"],
  agent: ["machines", "manifests", "os"],
  machines: ["manifests", "os"],
  manifests: [],
  controller: ["manifests", "os"],
  // Of a controller, how one asks it and what it answers.
  boss: ["worker", "controller/client/connection.ts", "controller/description/answers.ts", "os"],
  worker: ["os"],
  os: [],
};

/**
 * Rooms of a folder, from the top down: a room imports only what stands after it, or beside it in a list. "door" is the
 * folder itself.
 */
const floors = {
  agent: [
    "door",
    "doctor",
    "performing",
    "asking",
    "results",
    "status",
    "tftp",
    "caches",
    "task-state",
    "wire",
    "settings",
  ],
  boss: ["door", "bisect", "planning", "farm", "results", "dispatch", "hosts", "matrix"],
  controller: [
    [
      "door",
      "client",
      "book",
      "dashboard",
      "description",
      "routes",
      "secret-routes",
      "trees",
      "forges",
      "messages",
    ],
    ["backup", "fleet", "idle-agents", "leases", "reports", "retention", "source-file"],
    "builds",
    "secrets",
    "files",
    "database",
  ],
  machines: ["commands", "enumeration", "copying", "import", "image", "warm", "qemu", "network", "door"],
};

const inside = (folder, room) => (room === "door" ? `^${folder}/[^/]+$` : `^${folder}/${room}/`);

function folderRules() {
  return Object.entries(folders).map(([folder, below]) => ({
    name: `${folder}-imports-downwards`,
    comment: `${folder}/ may import ${below.join(", ") || "nothing"} besides itself.`,
    severity: "error",
    from: { path: `^${folder}/` },
    to: {
      path: `^(?!${[folder, ...below].map((each) => (each.endsWith(".ts") ? each : `${each}/`)).join("|")})(?:${Object.keys(folders).join("|")}|test)/`,
    },
  }));
}

function floorRules() {
  return Object.entries(floors).flatMap(([folder, levels]) =>
    levels.flatMap((level, at) => {
      const above = levels.slice(0, at).flat();
      if (above.length === 0) return [];
      return [level].flat().map((room) => ({
        name: `${folder}-${room}-imports-downwards`,
        comment: `In ${folder}/: ${levels.map((each) => [each].flat().join(", ")).join(" > ")}.`,
        severity: "error",
        from: { path: inside(folder, room) },
        to: { path: above.map((other) => inside(folder, other)).join("|") },
      }));
    }),
  );
}

export default {
  forbidden: [
    {
      name: "no-circle",
      comment: "Files that import each other: what both need gets a home below both.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "pure-manifests",
      comment: "manifests/ reads no file and starts nothing.",
      severity: "error",
      from: { path: "^manifests/" },
      to: { dependencyTypes: ["core", "npm"] },
    },
    {
      name: "one-libc",
      comment:
        "What Node.js does not offer is called by way of os/libc.ts; systemd has a library of its own.",
      severity: "error",
      from: { pathNot: "^os/(libc|service/systemd)\\.ts$" },
      to: { path: "node_modules/koffi/" },
    },
    ...folderRules(),
    ...floorRules(),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(test|dist)/" },
  },
};
