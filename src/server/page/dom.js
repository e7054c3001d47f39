// Elements. What comes from elsewhere becomes text, in whatever way it is put in: nothing here or
// in the other files makes markup of it, and the page's policy forbids that anyway.

export const byId = (id) => document.getElementById(id);

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** An element with these attributes and children, which are elements or texts. */
export const element = (name, attributes = {}, ...children) =>
  filled(document.createElement(name), attributes, children);

/** The same for drawings. */
export const shape = (name, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

/** Sets a text if it is another one, so that nothing is announced or laid out again for nothing. */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** Makes a button copy what `text` gives, and say so. */
export function copies(button, text) {
  const label = button.textContent;
  let back;
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.textContent = done ? "Copied" : "Not allowed";
    say(byId("said"), done ? "Copied." : "The browser did not allow copying.");
    clearTimeout(back);
    back = setTimeout(() => {
      button.textContent = label;
      say(byId("said"), "");
    }, 2000);
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelecting(text);
  }
}

/** Over plain HTTP from another machine, browsers offer no other way. */
function copyBySelecting(text) {
  const focused = document.activeElement;
  const field = element("textarea", { class: "unseen", "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return done;
}
