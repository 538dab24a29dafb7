/** The TFTP clients of a distribution, as argument vectors. Local files are absolute paths. */
export interface ClientProgram {
  name: string;
  get(port: number, remote: string, local: string): string[];
  put(port: number, local: string, remote: string): string[];
}

const host = "127.0.0.1";

function atftp(options: Record<string, number>): Omit<ClientProgram, "name"> {
  const flags = Object.entries(options).flatMap(([name, value]) => ["--option", `${name} ${value}`]);
  return {
    get: (port, remote, local) => ["atftp", ...flags, "-g", "-r", remote, "-l", local, host, `${port}`],
    put: (port, local, remote) => ["atftp", ...flags, "-p", "-r", remote, "-l", local, host, `${port}`],
  };
}

export function curl(blockSize: number): Omit<ClientProgram, "name"> {
  const base = ["curl", "--silent", "--show-error", "--tftp-blksize", `${blockSize}`];
  return {
    get: (port, remote, local) => [...base, "-o", local, `tftp://${host}:${port}/${remote}`],
    put: (port, local, remote) => [...base, "-T", local, `tftp://${host}:${port}/${remote}`],
  };
}

export const programs: ClientProgram[] = [
  { name: "curl", ...curl(512) },
  { name: "curl with blocks of 1468 bytes", ...curl(1468) },
  {
    name: "busybox tftp",
    get: (port, remote, local) => ["busybox", "tftp", "-g", "-r", remote, "-l", local, host, `${port}`],
    put: (port, local, remote) => ["busybox", "tftp", "-p", "-l", local, "-r", remote, host, `${port}`],
  },
  {
    name: "tftp-hpa",
    get: (port, remote, local) => ["tftp", "-m", "binary", host, `${port}`, "-c", "get", remote, local],
    put: (port, local, remote) => ["tftp", "-m", "binary", host, `${port}`, "-c", "put", local, remote],
  },
  { name: "atftp", ...atftp({}) },
  { name: "atftp with windows of 16", ...atftp({ blksize: 1468, windowsize: 16 }) },
  { name: "atftp with blocks of 65464 bytes", ...atftp({ blksize: 65464, timeout: 2 }) },
];

export const lockStep: ClientProgram = { name: "atftp, 1468 bytes", ...atftp({ blksize: 1468 }) };
export const windows: ClientProgram = {
  name: "atftp, 1468 bytes, windowsize 16",
  ...atftp({ blksize: 1468, windowsize: 16 }),
};
