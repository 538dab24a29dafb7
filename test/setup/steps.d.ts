export function showing<T>(
  title: string,
  action: () => Promise<T>,
  options?: { stream?: { isTTY?: boolean; write(text: string): unknown }; every?: number },
): Promise<T>;
