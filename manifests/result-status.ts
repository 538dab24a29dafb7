/** From best to worst. */
export const resultStatuses = [
  "skip",
  "success",
  "warning",
  "error",
  "abort",
  "abnormal",
  "interrupt",
] as const;

export type ResultStatus = (typeof resultStatuses)[number];

/** True from `error` on. */
export function isFailure(status: ResultStatus): boolean {
  return resultStatuses.indexOf(status) >= resultStatuses.indexOf("error");
}

/** The worse of two. */
export function worstStatus(a: ResultStatus, b: ResultStatus): ResultStatus {
  return resultStatuses.indexOf(a) >= resultStatuses.indexOf(b) ? a : b;
}
