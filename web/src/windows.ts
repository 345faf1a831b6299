/** Which grey values are shown: presets of CT in Hounsfield units; of everything else shares of the values. */

import type { Volume } from "./nifti.ts";
import type { Window } from "./view.ts";

export interface Preset extends Window {
  /** Key of its name in `texts.ts`. */
  name: string;
}

const around = (name: string, level: number, width: number): Preset => ({
  name,
  low: level - width / 2,
  high: level + width / 2,
});

const CT = [
  around("windowSoft", 40, 400),
  around("windowLiver", 60, 160),
  around("windowLung", -600, 1500),
  around("windowBone", 400, 1800),
  around("windowBrain", 40, 80),
];

const SAMPLES = 100_000;

/** The windows of an image, the one to begin with first. */
export function presets(image: Volume, modality: string): Preset[] {
  const { voxels, slope, inter } = image;
  const step = Math.max(1, Math.floor(voxels.length / SAMPLES));
  const values: number[] = [];
  for (let i = 0; i < voxels.length; i += step) {
    const value = voxels[i] * slope + inter;
    if (Number.isFinite(value)) values.push(value);
  }
  values.sort((a, b) => a - b);
  const least = values[0] ?? 0;
  if (modality === "CT" || (modality === "" && least <= -500 && least >= -4096)) return CT;
  // What lies around a patient in MR is the lowest value, and most of the image.
  const inside = values.filter((v) => v > least);
  const share = (p: number) => inside[Math.floor((inside.length - 1) * p)] ?? least;
  const between = (name: string, low: number, high: number): Preset => ({ name, low, high: Math.max(high, low + 1e-6) });
  return [
    between("windowUsual", share(0.01), share(0.99)),
    between("windowNarrow", share(0.2), share(0.8)),
    between("windowAll", least, values[values.length - 1] ?? least + 1),
  ];
}
