declare module "systemd-notify" {
  /** Runs the program `systemd-notify` with these as options. */
  export default function notify(options: { ready?: boolean; status?: string; pid?: number }): Promise<void>;
}
