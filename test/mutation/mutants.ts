/** Small faults that may be made in a source file, by its syntax tree. */
import ts from "typescript";

export interface Mutant {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly start: number;
  readonly end: number;
  readonly original: string;
  readonly replacement: string;
  readonly operator: string;
}

const otherOperator: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.LessThanToken]: "<=",
  [ts.SyntaxKind.LessThanEqualsToken]: "<",
  [ts.SyntaxKind.GreaterThanToken]: ">=",
  [ts.SyntaxKind.GreaterThanEqualsToken]: ">",
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: "!==",
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: "===",
  [ts.SyntaxKind.AmpersandAmpersandToken]: "||",
  [ts.SyntaxKind.BarBarToken]: "&&",
  [ts.SyntaxKind.QuestionQuestionToken]: "&&",
  [ts.SyntaxKind.PlusToken]: "-",
  [ts.SyntaxKind.MinusToken]: "+",
  [ts.SyntaxKind.AsteriskToken]: "/",
  [ts.SyntaxKind.SlashToken]: "*",
};

/** All of a file, in the order of the text. What is said to people, types and imports are left alone. */
export function mutantsOf(file: string, text: string): Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: Mutant[] = [];
  const add = (operator: string, start: number, end: number, replacement: string) => {
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    found.push({ file, line, start, end, original: text.slice(start, end), replacement, operator });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || isMessage(node)) return;
    for (const [operator, target, replacement] of changesOf(node, source))
      add(operator, target.getStart(source), target.getEnd(), replacement);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

type Change = [operator: string, target: ts.Node, replacement: string];

function changesOf(node: ts.Node, source: ts.SourceFile): Change[] {
  if (ts.isIfStatement(node) || ts.isWhileStatement(node)) return [negated(node.expression, source)];
  if (ts.isConditionalExpression(node)) return [negated(node.condition, source)];
  if (ts.isBinaryExpression(node)) {
    const other = otherOperator[node.operatorToken.kind];
    return other === undefined ? [] : [["other operator", node.operatorToken, other]];
  }
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
    return [["no negation", node, node.operand.getText(source)]];
  if (ts.isExpressionStatement(node)) return isSuper(node.expression) ? [] : [["no statement", node, ";"]];
  if (ts.isAwaitExpression(node)) return [["no await", node, `(${node.expression.getText(source)})`]];
  if (ts.isNumericLiteral(node))
    return [["other number", node, node.text === "0" ? "1" : `(${node.text} + 1)`]];
  if (ts.isStringLiteral(node) && ts.isExpression(node) && !isName(node))
    return [["other string", node, node.text === "" ? '"other"' : '""']];
  if (node.kind === ts.SyntaxKind.TrueKeyword) return [["other truth", node, "false"]];
  if (node.kind === ts.SyntaxKind.FalseKeyword) return [["other truth", node, "true"]];
  if (ts.isReturnStatement(node) && node.expression && !isNothing(node.expression))
    return [["no value", node, "return undefined as never;"]];
  if (ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node))
    return withoutOne(node, source);
  return [];
}

function negated(condition: ts.Expression, source: ts.SourceFile): Change {
  return ["negated condition", condition, `!(${condition.getText(source)})`];
}

function withoutOne(
  node: ts.ObjectLiteralExpression | ts.ArrayLiteralExpression,
  source: ts.SourceFile,
): Change[] {
  const parts: readonly ts.Node[] = ts.isObjectLiteralExpression(node) ? node.properties : node.elements;
  const [open, close] = ts.isObjectLiteralExpression(node) ? ["{ ", " }"] : ["[", "]"];
  // The left side of an assignment is no literal.
  if (parts.length === 0 || (ts.isBinaryExpression(node.parent) && node.parent.left === node)) return [];
  return parts.map((gone) => {
    const rest = parts.filter((part) => part !== gone).map((part) => part.getText(source));
    return ["without an element", node, open + rest.join(", ") + close];
  });
}

/** What is as good as no value. */
function isNothing(expression: ts.Expression): boolean {
  return /^(undefined|false|null)$/.test(expression.getText());
}

function isSuper(expression: ts.Expression): boolean {
  return ts.isCallExpression(expression) && expression.expression.kind === ts.SyntaxKind.SuperKeyword;
}

/** The name of a property or of a module. */
function isName({ parent, ...node }: ts.StringLiteral): boolean {
  if (ts.isPropertyAssignment(parent)) return parent.name.pos === node.pos;
  return ts.isCallExpression(parent) && parent.expression.kind === ts.SyntaxKind.ImportKeyword;
}

/** Messages for people: their wording is no promise. */
function isMessage(node: ts.Node): boolean {
  if (ts.isNewExpression(node)) return /^(\w*Failure|Error)$/.test(node.expression.getText());
  if (!ts.isExpressionStatement(node)) return false;
  return /^(await )?(this\.#|\w+\.)*log\.(trace|debug|info|step|warn|error|milestone|output)\(/.test(
    node.getText(),
  );
}
