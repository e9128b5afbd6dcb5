/* JSON that is printed in many lines, as one line: for a reader that takes a line as an object. */
#ifndef TOOLS_JSON_LINE_H
#define TOOLS_JSON_LINE_H

/* What is printed on standard output from here to the end loses its line feeds, and the blanks behind them. */
void json_line_begin(void);
void json_line_end(void);

#endif
