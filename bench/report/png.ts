/**
 * Plots as PNG, for places that show no SVG: rasterised by resvg, which comes as a binary for most machines and needs no
 * browser. Where there is none for this machine the report has SVG only, and says so. Texts are set in whatever font with
 * sans-serifs the system has; without any, they are missing.
 */
import type * as resvg from "@resvg/resvg-js";

/** Pixels for each unit of the SVG: sharp on paper and on dense screens. */
const scale = 2;

export type Rasterise = (svg: string) => Uint8Array;

/** What turns SVG into PNG here, or why nothing does. `load`: for tests. */
export async function openRasteriser(
  load: () => Promise<typeof resvg> = () => import("@resvg/resvg-js"),
): Promise<Rasterise | string> {
  try {
    const { Resvg } = await load();
    return (svg) =>
      new Resvg(svg, {
        background: "white",
        fitTo: { mode: "zoom", value: scale },
        font: { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans", sansSerifFamily: "DejaVu Sans" },
      })
        .render()
        .asPng();
  } catch (error) {
    return `no PNG files: ${(error as Error).message}`;
  }
}
