/** For a page of a browser: `page.evaluate(shownTexts)`. */
export function shownTexts(): { where: string; text: string; ratio: number }[];
