import type { Settings } from "../protocol.ts";
import type { Toolchain } from "./toolchain.ts";

/** Variables that would make a build, or git, depend on how, and at whose desk, the worker was started. */
const unwanted = new RegExp(
  `^(${[
    "GIT_.*|MAKEFLAGS|MFLAGS|MAKELEVEL|MAKEOVERRIDES|CROSS_COMPILE|ARCH|O|V|LC_.*|LANGUAGE|KBUILD_.*",
    "(HOST)?(CC|CXX|CPP|LD|AR|AS|NM)|LLVM|(HOST|K)?(CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|LDLIBS|AFLAGS)",
  ].join("|")})$`,
);

/**
 * The worker's own environment, without what must not reach builds; messages are in English, in UTF-8 but where the boss
 * has found that the host does not know it (programs would warn of that). LANG says the same, as the makefiles of U-Boot and Linux
 * take LC_ALL away.
 */
export function cleanEnvironment(own: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept = Object.entries(own).filter(([name]) => !unwanted.test(name));
  const language = own["LC_ALL"] === "C" ? "C" : "C.UTF-8";
  return { ...Object.fromEntries(kept), LC_ALL: language, LANG: language };
}

/**
 * What builds find in their environment: the toolchain, and what the settings ask for, in the variables that U-Boot
 * and Linux read. A reproducible build has the same date at each commit, so that only real changes show.
 */
export function buildEnvironment(settings: Settings, toolchain: Toolchain): NodeJS.ProcessEnv {
  return {
    ...cleanEnvironment(),
    ...(toolchain.cross && { CROSS_COMPILE: toolchain.cross }),
    // As from the command line: makefiles that set the compiler themselves overrule the environment.
    ...(toolchain.clang && { MAKEFLAGS: ` -- CC=${toolchain.clang} HOSTCC=${toolchain.clang}` }),
    ...changedEnvironment(settings),
  };
}

/** Only what the settings ask for. */
export function changedEnvironment(settings: Settings): Record<string, string> {
  return {
    ...(settings.verbose_build && { V: "1", VERBOSE: "1" }),
    ...(settings.warnings_as_errors && { KCFLAGS: "-Werror", HOSTCFLAGS: "-Werror" }),
    ...(settings.no_lto && { NO_LTO: "1" }),
    ...(settings.allow_missing && { BINMAN_ALLOW_MISSING: "1" }),
    ...(settings.reproducible_builds && {
      SOURCE_DATE_EPOCH: "0",
      KBUILD_BUILD_TIMESTAMP: "Thu Jan  1 00:00:00 UTC 1970",
      KBUILD_BUILD_USER: "croft",
      KBUILD_BUILD_HOST: "croft",
    }),
  };
}
