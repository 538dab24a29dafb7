import { join } from "node:path";
import { DirectoryStorage } from "../../../controller/files/directory-storage.ts";
import { testStorage } from "./same.ts";

testStorage("directory", async (_stack, path) => new DirectoryStorage(join(path, "blobs")));
