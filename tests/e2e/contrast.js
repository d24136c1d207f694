// Texts of the page whose contrast with what is behind them is below WCAG AA, each as [text, ratio, needed].
() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const parse = text => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], behind) => [r, g, b].map((part, i) => part * a + behind[i] * (1 - a));
  const light = rgb => {
    const [r, g, b] = rgb.map(part => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const lineage = node => (node ? [...lineage(node.parentElement), node] : []);
  const behind = node => lineage(node).reduce(({rgb, opacity}, each) => {
    const style = getComputedStyle(each);
    const [r, g, b, a] = parse(style.backgroundColor);
    return {rgb: over([r, g, b, a * opacity * style.opacity], rgb), opacity: opacity * style.opacity};
  }, {rgb: [255, 255, 255], opacity: 1});
  const found = [];
  const check = (node, text, style) => {
    const {rgb, opacity} = behind(node);
    const [r, g, b, a] = parse(style.color);
    const size = parseFloat(style.fontSize);
    const isIcon = style.fontFamily.includes("Material");
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const needed = isIcon || isLarge ? 3 : 4.5;
    const has = ratio(over([r, g, b, a * opacity], rgb), rgb);
    if (has < needed) found.push([text.trim().slice(0, 60), Math.round(has * 100) / 100, needed]);
  };
  const shown = node => node.checkVisibility({visibilityProperty: true}) && node.getBoundingClientRect().width > 1;
  const isOff = node => node.closest("[data-testid=stWidgetLabel]")?.parentElement.querySelector(":disabled");
  const exempt = node =>
    node.closest("canvas, :disabled, [aria-disabled=true], [data-testid=stElementToolbar]") || isOff(node);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || node.closest("script, style, noscript") || exempt(node) || !shown(node)) continue;
    check(node, text.data, getComputedStyle(node));
  }
  for (const field of document.querySelectorAll("input, textarea")) {
    if (exempt(field) || !shown(field) || !["text", "search", "number", "password", "url"].includes(field.type)) continue;
    if (field.value) check(field, field.value, getComputedStyle(field));
    else if (field.placeholder) check(field, field.placeholder, getComputedStyle(field, "::placeholder"));
  }
  return found;
}
