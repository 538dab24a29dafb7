/** The disks of a machine, which QEMU gets open. */
import { lstatSync, readdirSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { Failure, reasonOf } from "../../os/failure.ts";
import { warmName } from "../layout.ts";
import { isDisk } from "../names.ts";
import type { StartOptions } from "../virtual-machine.ts";
import { backingFileOf } from "./backing-files.ts";
import { escape, type InheritedFiles } from "./inherited-files.ts";

/** @throws {Failure} if there is none. */
export function diskArguments(options: StartOptions, files: InheritedFiles): string[] {
  const disks = disksOf(options);
  if (disks.length === 0)
    throw new Failure(
      `start machine '${options.name}'`,
      `'${options.directory}' holds no disk*.img or disk*.qcow2`,
    );
  // The snapshot is thrown away after use, so that no write need ever reach the platter.
  return disks.flatMap((name, index) => {
    const path = resolve(options.directory, name);
    const format = formatOf(name);
    const drive = [
      `if=none,id=disk${index},file=${files.disk(path, "write")},cache=unsafe,discard=unmap,format=${format}`,
      ...(format === "qcow2" ? backingOptions(backingChain(path, options.directory, files)) : []),
    ];
    return [
      ...["-drive", drive.join(",")],
      ...["-device", `virtio-blk-pci,drive=disk${index},bootindex=${index + 1}`],
    ];
  });
}

/** How deep disks may be based on one another. */
const backingDepthMaximum = 16;

/** A disk that another one is based on. */
interface Backing {
  /** As the header names it. */
  written: string;
  format: string;
  /** QEMU's name for it. */
  name: string;
  /** QEMU gets it open. */
  isOpen: boolean;
}

/**
 * What a disk is based on, and that again.
 *
 * Only what belongs to the machine is opened for QEMU. The header of a disk may be a guest's work, by a guest that had
 * broken out: QEMU opens what lies elsewhere itself, as far as its user may.
 */
export function backingChain(disk: string, snapshot: string, files: InheritedFiles): Backing[] {
  const chain: Backing[] = [];
  for (let path = disk; chain.length < backingDepthMaximum;) {
    const backing = backingFileOf(path);
    if (backing === undefined || /^[a-z0-9+-]+:/i.test(backing.name)) break; // none, or no plain file
    path = isAbsolute(backing.name) ? backing.name : join(dirname(path), backing.name);
    const format = backing.format ?? formatOf(path);
    const isOpen = belongsTo(path, snapshot);
    chain.push({ written: backing.name, format, name: isOpen ? files.disk(path, "read") : path, isOpen });
    if (format !== "qcow2" || !isOpen) break;
  }
  return chain;
}

/** Told instead of read by QEMU, which could not find the files from where it is. */
function backingOptions(chain: readonly Backing[]): string[] {
  return chain.flatMap(({ format, name }, depth) => {
    const key = "backing.".repeat(depth + 1);
    return [`${key}driver=${format}`, `${key}file.driver=file`, `${key}file.filename=${escape(name)}`];
  });
}

/** Whether it is a file in the snapshot, or in another tree of its machine, or belongs to the saved state of such a tree. */
function belongsTo(path: string, snapshot: string): boolean {
  try {
    if (!lstatSync(path).isFile()) return false;
    const directory = dirname(realpathSync(path));
    const tree = basename(directory) === warmName ? dirname(directory) : directory;
    return dirname(tree) === dirname(realpathSync(snapshot));
  } catch {
    return false; // which QEMU says better
  }
}

function formatOf(name: string): "qcow2" | "raw" {
  return name.endsWith(".qcow2") ? "qcow2" : "raw";
}

/** Names of the disks, in their order. */
export function disksOf(options: StartOptions): string[] {
  try {
    return readdirSync(options.directory).filter(isDisk).sort();
  } catch (error) {
    throw new Failure(`start machine '${options.name}'`, `'${options.directory}': ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
