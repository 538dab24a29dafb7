/** A worker that answers at once and builds nothing, for measuring the boss: `node fake-worker.ts [THREADS]`. */
import { LineSplitter } from "../../os/text/lines.ts";
import { formatResponse, parseCommand, type Response } from "../../worker/protocol.ts";

const threads = Number(process.argv[2] ?? 4);
const sizes = { raw: "  72377\t   2488\t      0\t  74865\t  12471\t/home/w1/work/.bm-work/00/build/u-boot" };
let commits = 1;
let output = "";

function answer(response: Response): void {
  output += formatResponse(response);
}

function build(board: string, only?: readonly number[]): void {
  answer({ resp: "heartbeat", board, thread: 0 });
  for (const commit_upto of only ?? Array.from({ length: commits }, (_, at) => at))
    answer({
      resp: "build_result",
      board,
      commit_upto,
      return_code: 0,
      stderr: "",
      stdout: "",
      load_avg: 1,
      sizes,
    });
}

function take(line: string): void {
  const parsed = parseCommand(line);
  if (parsed.kind !== "message") return;
  const { message } = parsed;
  switch (message.cmd) {
    case "configure":
      return answer({ resp: "configure_done" });
    case "build_prepare":
      commits = message.commits.length;
      return answer({ resp: "build_prepare_done" });
    case "build_board":
      return build(message.board, message.commits);
    case "build_boards":
      commits = message.commits.length;
      for (const { board } of message.boards) build(board);
      return answer({ resp: "build_done", exceptions: 0 });
    case "build_done":
      return answer({ resp: "build_done", exceptions: 0 });
    case "quit":
      answer({ resp: "quit_ack" });
      process.stdout.write(output, () => process.exit(0));
      output = "";
      return;
    case "setup":
      return;
  }
}

const lines = new LineSplitter();
answer({ resp: "ready", nthreads: threads, slots: threads });
process.stdout.write(output);
output = "";
process.stdin.on("data", (chunk: Buffer) => {
  for (const { text } of lines.push(chunk)) take(text);
  if (output !== "") process.stdout.write(output);
  output = "";
});
process.stdin.on("end", () => process.exit(0));
