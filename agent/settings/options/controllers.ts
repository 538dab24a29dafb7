import { checkNotEmpty, integerOption, type OptionDeclaration } from "../../../os/command-line/options.ts";

/** How controllers are asked, what is accepted of them, and how the agent shows them who it is. */
export const controllerOptions: readonly OptionDeclaration[] = [
  {
    name: "interactive",
    kind: "choice",
    choices: ["false", "true", "both"],
    value: "MODE",
    default: "false",
    prose: "which tasks to accept: those without, with, or with and without a person who logs in",
  },
  {
    name: "auth-key",
    kind: "string",
    value: "FILE",
    check: checkNotEmpty,
    prose: "RSA private key (PEM) that answers challenges; controllers know the agent by its fingerprint",
    details:
      "A key that is missing, cannot be read or cannot sign ends the agent at its start. Without a key, tasks with a challenge are refused. With `--openssl`, this may be whatever the program accepts for a key, for instance a PKCS #11 URI.",
  },
  {
    name: "openssl",
    kind: "string",
    value: "PATH",
    check: checkNotEmpty,
    defaultWords: "signed in process",
    prose: "sign challenges with this program, for keys in a token",
    details:
      "From OpenSSL 3.0 on `pkeyutl -sign` is used, before it `rsautl -sign`. The agent signs and verifies a text of its own when it starts, so that a key that does not work is found out then.",
  },
  {
    name: "openssl-option",
    kind: "string",
    value: "OPTION",
    repeat: true,
    prose: "further argument of the program given with --openssl, such as -engine or its value",
    details:
      "Give one for each argument. They follow `pkeyutl -sign` or `rsautl -sign` in their order, and the command that prints the public key, where `-keyform` becomes `-inform` and `-pkeyopt` is left out. Arguments are seen by all users of the host: a passphrase should be given as `-passin file:PATH`.",
  },
  {
    name: "trust",
    kind: "string",
    value: "FINGERPRINT",
    repeat: true,
    check: (text) =>
      /^(yes|no|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31})$/.test(text)
        ? undefined
        : "expected yes, no or a SHA-256 fingerprint AA:BB:… of 32 bytes",
    prose: "fingerprint of a repository's certificate, yes or no; replaces the trust values of every task",
  },
  integerOption(
    "poll-interval",
    "SECONDS",
    60,
    "longest sleep before controllers without a task are asked again; one of croft wakes the agent before",
  ),
  integerOption("connect-timeout", "SECONDS", 60, "time to connect to a controller"),
  {
    ...integerOption(
      "request-timeout",
      "SECONDS",
      300,
      "time for a request to a controller, retries included",
    ),
    details: "A request for a task, which is made while holding locks, has at most 60 seconds.",
  },
  {
    ...integerOption(
      "request-retries",
      "N",
      4,
      "retries of a request after connection errors and answers 5xx and 429",
    ),
    details:
      "A request for a task, which is made while holding locks, is retried once at most, and in later rounds.",
    ...{ minimum: 0, maximum: 100 },
  },
];
