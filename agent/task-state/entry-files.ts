/** What lies in an entry of the spool, besides its uploads; spool.ts says what each is. */
export const entryFiles = {
  assignment: "assignment.json",
  result: "result.manifest",
  tried: "tried.json",
  looks: "recovery",
  sent: "sent",
  answer: "answer",
} as const;
