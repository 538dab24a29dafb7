import { ProgramFailure, run } from "../../os/run.ts";

/**
 * Loads the kernel module that gives TFTP's answers the address that the question went to. The rest of what the
 * packet filter needs the kernel loads by itself. Many kernels have it built in, and some hosts load all modules at
 * boot and none later, so failing means nothing.
 */
export async function loadTftpHelper(): Promise<void> {
  try {
    await run(["modprobe", "--quiet", "nf_nat_tftp"], { timeoutSeconds: 30 });
  } catch (error) {
    if (!(error instanceof ProgramFailure)) throw error;
  }
}
