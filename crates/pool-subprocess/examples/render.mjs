// What `warm_node.rs` calls: a page, from a template that is made once.

const page = (title, body) => `<!doctype html><title>${title}</title><main>${body}</main>`;

export function render({ title, paragraphs }, job) {
  job.log(`rendering ${title}`);
  return page(title, paragraphs.map((text) => `<p>${text}</p>`).join(''));
}
