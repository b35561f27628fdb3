"use strict";
// Filters the problems, and shows a page of them at a time.
const PAGE = 20;
const form = document.getElementById("filters");
const pager = document.getElementById("pager");
const questions = [...document.querySelectorAll("article")];
let matching = questions;
let first = 0;

function filter() {
  const wanted = new FormData(form);
  const models = [...wanted.getAll("model"), ""]; // "": controls, which no model wrote
  const [test, cell, verdict] = ["test", "cell", "verdict"].map((name) => wanted.get(name));
  matching = questions.filter((question) => {
    if ((test && question.dataset.test !== test) || (cell && question.dataset.cell !== cell)) return false;
    let some = false;
    for (const column of question.querySelectorAll("[data-model]")) {
      let filled = false;
      for (const answer of column.querySelectorAll("[data-verdict]")) {
        answer.hidden = Boolean(verdict) && answer.dataset.verdict !== verdict;
        filled ||= !answer.hidden;
      }
      column.hidden = !filled || !models.includes(column.dataset.model);
      some ||= !column.hidden;
    }
    return some;
  });
  first = 0;
  show();
}

function show() {
  const shown = new Set(matching.slice(first, first + PAGE));
  for (const question of questions) question.hidden = !shown.has(question);
  const count = matching.length;
  document.getElementById("count").textContent = count
    ? `Prompts ${first + 1} to ${Math.min(first + PAGE, count)} of ${count}`
    : "No problem is like that: widen a filter";
  pager.hidden = count <= PAGE;
  document.getElementById("place").textContent = `Page ${first / PAGE + 1} of ${Math.ceil(count / PAGE)}`;
  for (const button of pager.querySelectorAll("button")) {
    const to = first + PAGE * Number(button.value);
    button.disabled = to < 0 || to >= count;
  }
}

form.addEventListener("change", filter);
form.addEventListener("submit", (event) => event.preventDefault());
pager.addEventListener("click", (event) => {
  if (!event.target.value) return;
  first += PAGE * Number(event.target.value);
  show();
  document.getElementById("problems").scrollIntoView();
});
filter();
