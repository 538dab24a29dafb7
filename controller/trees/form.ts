/** What is sent with a working tree. */
import Type from "typebox";
import { submissionSchema } from "../routes/submission.ts";

/** What is built of a working tree: all that a submission may say but where it is from. */
export const treeSubmission = Type.Object(
  {
    ...Type.Omit(submissionSchema, ["repository", "type", "depth", "cell"]).properties,
    commit: Type.Optional(Type.String({ pattern: "^[0-9a-f]{40}(?:[0-9a-f]{24})?$" })),
    changed: Type.Optional(Type.Boolean({ description: "whether it is another than the commit has" })),
  },
  { additionalProperties: false },
);

/** The form, for the interface's description. */
export const treeForm = Type.Object({
  submission: treeSubmission,
  archive: Type.String({ format: "binary", description: "tar, compressed by gzip" }),
});
